// Where the tests find what they don't make themselves. One file knows the paths, so that a compiler's cache
// serves every checkout.
#pragma once

#include <string>

namespace sluice::test {

std::string source_dir();   ///< the project
std::string bin_dir();      ///< its programs, built
std::string vectors_dir();  ///< test data from outside, which may be missing

}  // namespace sluice::test

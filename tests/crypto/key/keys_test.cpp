// Keys: where they come from, what they say about themselves, and which key files are refused.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "hkdf.hpp"
#include "sluice/crypto/key/key_file.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

PassphraseParameters cheap_parameters() {
  auto parameters = PassphraseParameters::with_random_salt();
  parameters.memory_kib = PassphraseParameters::kMinMemoryKib;
  parameters.passes = 1;
  return parameters;
}

TEST(SecretKey, GeneratesADifferentKeyEachTime) {
  EXPECT_NE(SecretKey::generate().id(), SecretKey::generate().id());
}

TEST(SecretKey, HasAnIdThatDependsOnEveryByteOfTheKey) {
  Bytes bytes(SecretKey::kSize);
  const auto id = SecretKey::from_bytes(bytes).id();
  for (auto& byte : bytes) {
    byte = std::byte{1};
    EXPECT_NE(SecretKey::from_bytes(bytes).id(), id);
    byte = std::byte{0};
  }
  EXPECT_EQ(SecretKey::from_bytes(bytes).id(), id);
}

TEST(SecretKeyDeathTest, CantBeWrittenNorReadBeyondItsEnd) {
  const auto key = SecretKey::generate();
  auto* bytes = const_cast<std::byte*>(key.bytes().data());
  EXPECT_DEATH(*static_cast<volatile std::byte*>(bytes) = std::byte{1}, "");
  EXPECT_DEATH((void)*static_cast<volatile std::byte*>(bytes + SecretKey::kSize), "");
}

TEST(SecretKey, RefusesAnyOtherSizeThan32Bytes) {
  for (const std::size_t size : {0U, 1U, 16U, 31U, 33U, 64U}) {
    EXPECT_EQ(code_of([&] { SecretKey::from_bytes(Bytes(size)); }), sluice::errc::bad_option) << size;
  }
}

TEST(SecretKey, ComesFromThePassphraseTheSaltAndTheCost) {
  const auto parameters = cheap_parameters();
  const auto id = SecretKey::from_passphrase("correct horse", parameters).id();
  EXPECT_EQ(SecretKey::from_passphrase("correct horse", parameters).id(), id);
  EXPECT_NE(SecretKey::from_passphrase("correct horsf", parameters).id(), id);
  auto other = parameters;
  other.passes = 2;
  EXPECT_NE(SecretKey::from_passphrase("correct horse", other).id(), id);
  other = parameters;
  other.salt[0] ^= std::byte{1};
  EXPECT_NE(SecretKey::from_passphrase("correct horse", other).id(), id);
}

TEST(SecretKey, RefusesPassphraseCostsOutOfBounds) {
  auto parameters = cheap_parameters();
  parameters.memory_kib = PassphraseParameters::kMinMemoryKib - 1;
  EXPECT_EQ(code_of([&] { SecretKey::from_passphrase("x", parameters); }), sluice::errc::bad_option);
  parameters.memory_kib = PassphraseParameters::kMaxMemoryKib + 1;
  EXPECT_EQ(code_of([&] { SecretKey::from_passphrase("x", parameters); }), sluice::errc::bad_option);
  parameters = cheap_parameters();
  parameters.passes = 0;
  EXPECT_EQ(code_of([&] { SecretKey::from_passphrase("x", parameters); }), sluice::errc::bad_option);
  parameters.passes = PassphraseParameters::kMaxPasses + 1;
  EXPECT_EQ(code_of([&] { SecretKey::from_passphrase("x", parameters); }), sluice::errc::bad_option);
}

TEST(SecretKey, WorksAndSaysSoWhenNoMemoryCanBeLocked) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers answer mlock themselves, and always with success";
#endif
  // In a child: the limit would hold for the rest of the process, and root needs another user to feel it.
  const auto child = [] {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0) std::_Exit(2);
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) std::_Exit(3);
    const auto key = test_key();
    if (key.locked()) std::_Exit(4);
    const auto sealed = seal_bytes(to_bytes("plain"), key);
    std::_Exit(open_bytes(sealed, key) == to_bytes("plain") ? 0 : 5);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

TEST(KeyRing, FindsAKeyByItsIdAndForgetsIt) {
  KeyRing ring;
  ring.add(test_key(1));
  ring.add(test_key(2));
  ring.add(test_key(2));
  EXPECT_EQ(ring.keys().size(), 2U);
  ASSERT_NE(ring.find(test_key(2).id()), nullptr);
  EXPECT_EQ(ring.find(test_key(2).id())->id(), test_key(2).id());
  EXPECT_EQ(ring.find(test_key(3).id()), nullptr);
  EXPECT_TRUE(ring.remove(test_key(2).id()));
  EXPECT_FALSE(ring.remove(test_key(2).id()));
  EXPECT_EQ(ring.find(test_key(2).id()), nullptr);
}

TEST(KeyRing, OpensStreamsOfAnyOfItsKeysInEitherFormat) {
  KeyRing ring;
  for (unsigned i = 1; i <= 3; ++i) ring.add(test_key(i));
  const auto plain = to_bytes("for the second key");
  for (const auto format : {Format::agcm, Format::c2sp}) {
    const auto sealed = seal_bytes(plain, test_key(2), {.format = format, .chunk_bytes = 0, .context = "c"});
    const OpenOptions options{.format = format, .context = "c", .allow_legacy_v1 = false};
    EXPECT_EQ(open_bytes(sealed, ring, options), plain);
  }
}

class KeyFile : public testing::Test {
 protected:
  ScratchDirectory scratch_;
  std::filesystem::path path_ = scratch_ / "key";
};

TEST_F(KeyFile, HoldsExactlyTheKeyAndIsReadableByItsOwnerOnly) {
  save_key_file(path_, test_key());
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  const auto key = test_key();
  const Bytes expected(key.bytes().begin(), key.bytes().end());
  EXPECT_EQ(read_file(path_), expected);
  EXPECT_EQ(load_key_file(path_).id(), key.id());
}

TEST_F(KeyFile, IsNeverOverwritten) {
  save_key_file(path_, test_key(1));
  EXPECT_EQ(code_of([&] { save_key_file(path_, test_key(2)); }), std::errc::file_exists);
  EXPECT_EQ(load_key_file(path_).id(), test_key(1).id());
}

TEST_F(KeyFile, IsRefusedWhenOthersCanReadIt) {
  save_key_file(path_, test_key());
  for (const unsigned mode : {0640U, 0604U, 0620U, 0602U, 0610U, 0777U}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    EXPECT_EQ(code_of([&] { load_key_file(path_); }), errc::unsafe_key_file) << std::oct << mode;
  }
  ASSERT_EQ(::chmod(path_.c_str(), 0400), 0);
  EXPECT_EQ(load_key_file(path_).id(), test_key().id());
}

TEST_F(KeyFile, IsRefusedWhenItBelongsToSomebodyElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  save_key_file(path_, test_key());
  ASSERT_EQ(::chown(path_.c_str(), 65534, 65534), 0);
  EXPECT_EQ(code_of([&] { load_key_file(path_); }), errc::unsafe_key_file);
}

TEST_F(KeyFile, IsRefusedWhenItIsALinkADirectoryOrAFifo) {
  save_key_file(path_, test_key());
  std::filesystem::create_symlink(path_, scratch_ / "link");
  EXPECT_EQ(code_of([&] { load_key_file(scratch_ / "link"); }), errc::unsafe_key_file);
  EXPECT_EQ(code_of([&] { load_key_file(scratch_.path()); }), errc::unsafe_key_file);
  ASSERT_EQ(::mkfifo((scratch_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { load_key_file(scratch_ / "fifo"); }), errc::unsafe_key_file);
}

TEST_F(KeyFile, IsRefusedWhenItHasAnotherSize) {
  for (const std::size_t size : {0U, 31U, 33U, 47U, 49U, 64U, 4096U}) {
    write_file(path_, Bytes(size));
    ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
    EXPECT_EQ(code_of([&] { load_key_file(path_); }), errc::bad_key_file) << size;
  }
}

TEST_F(KeyFile, ThatIsMissingIsTheSystemsError) {
  EXPECT_EQ(code_of([&] { load_key_file(path_); }), std::errc::no_such_file_or_directory);
}

TEST_F(KeyFile, OfAPassphraseGivesTheSameKeyAgain) {
  const auto key = create_passphrase_key_file(path_, "correct horse", cheap_parameters());
  EXPECT_EQ(load_key_file(path_, [] { return std::string("correct horse"); }).id(), key.id());
  EXPECT_EQ(code_of([&] { load_key_file(path_, [] { return std::string("wrong"); }); }),
            errc::wrong_passphrase);
  EXPECT_EQ(code_of([&] { load_key_file(path_); }), sluice::errc::bad_option);
}

TEST_F(KeyFile, OfAPassphraseIsRefusedWithFieldsOutOfRange) {
  create_passphrase_key_file(path_, "p", cheap_parameters());
  const auto good = read_file(path_);
  const auto prompt = [] { return std::string("p"); };
  // The first byte of magic, version, memory and passes; then costs that would take all memory or all day.
  for (const std::size_t offset : {0U, 4U, 11U, 15U}) {
    auto bad = good;
    bad[offset] = std::byte{0xff};
    write_file(path_, bad);
    EXPECT_EQ(code_of([&] { load_key_file(path_, prompt); }), errc::bad_key_file) << offset;
  }
}

TEST(KeyErrors, NeverContainKeyMaterial) {
  const auto key = SecretKey::from_bytes(Bytes(SecretKey::kSize, std::byte{'K'}));
  const auto sealed = seal_bytes(to_bytes("x"), key);
  for (const auto* context : {"", "other"}) {
    try {
      const auto other = test_key();
      open_bytes(sealed, context[0] == 0 ? other : key, {.context = context});
      FAIL();
    } catch (const error& failure) {
      EXPECT_EQ(std::string(failure.what()).find("KKKK"), std::string::npos);
      EXPECT_EQ(std::string(failure.what()).find("4b4b4b4b"), std::string::npos);
    }
  }
}

TEST(Hkdf, RefusesMoreThanTheFunctionCanGive) {
  Bytes output(255UL * 64);
  hkdf_expand(to_bytes("key"), {}, output);
  output.resize(255UL * 64 + 1);
  EXPECT_EQ(code_of([&] { hkdf_expand(to_bytes("key"), {}, output); }), sluice::errc::bad_option);
}

}  // namespace
}  // namespace sluice::crypto::test

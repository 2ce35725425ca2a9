#include "sluice/codec/detail/edited_tree.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "delta_tokens.hpp"
#include "fault_text.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/detail/writers.hpp"
#include "sluice/codec/error.hpp"
#include "tree_values.hpp"

namespace sluice::codec::detail {
namespace {

using msgpack::object;

[[noreturn]] void refuse(errc limit, std::size_t most, const char* unit, std::size_t got) {
  throw error(limit, "delta: expected a value of at most " + std::to_string(most) + ' ' + unit +
                         ", got one of " + std::to_string(got));
}

void parse(ObjectTree& tree, std::span<const std::byte> bytes, const DecodeOptions& limits) {
  const std::error_code fault = tree.parse(bytes, limits);
  if (fault) throw error(fault, fault_text(fault, bytes.size(), tree.at(), limits));
}

/// A copy of what a peer sent. What is too long isn't copied: parsing refuses it.
std::span<const std::byte> copy(std::span<const std::byte> bytes, std::size_t most,
                                std::vector<std::byte>& to) {
  if (bytes.size() > most) return bytes;
  to.assign(bytes.begin(), bytes.end());
  return to;
}

/// Bytes of the head of a container.
std::size_t head_bytes(std::uint64_t entries) noexcept {
  return entries < 16 ? 1 : entries < 65536 ? 3 : 5;
}

}  // namespace

/// One delta's changes. They are taken back unless commit() is called.
class EditedTree::Edit {
 public:
  Edit(Whole& whole, const DecodeOptions& limits) : whole_(whole), limits_(limits), size_(whole.size) {}
  Edit(const Edit&) = delete;
  Edit& operator=(const Edit&) = delete;
  ~Edit() {
    for (; !undo_.empty(); undo_.pop_back()) *undo_.back().first = undo_.back().second;
    for (const object* const nodes : made_) free(nodes);
  }

  void run(const object& delta) {
    edit(whole_.root, delta, 1);
    if (size_.bytes > limits_.max_bytes) refuse(errc::too_large, limits_.max_bytes, "bytes", size_.bytes);
    if (size_.elements > limits_.max_elements)
      refuse(errc::too_many_elements, limits_.max_elements, "values", size_.elements);
  }

  void commit() noexcept {
    undo_.clear();
    made_.clear();
    for (const object* const nodes : replaced_) free(nodes);
    whole_.size = size_;
  }

 private:
  /// `level`: of the container, from 1.
  void edit(object& target, const object& delta, unsigned level) {
    const bool map = target.type == msgpack::type::MAP;
    if (!map && target.type != msgpack::type::ARRAY)
      refuse_delta("an array or a map to edit", describe(target));
    const std::size_t each = map ? 2 : 1;
    const std::span<object> from = children_of(target);
    const Counts counts = count_runs(Tokens(delta), each);
    if (counts.taken != from.size() / each) {
      refuse_delta("runs for the value's " + std::to_string(from.size() / each) + " entries",
                   "runs for " + std::to_string(counts.taken));
    }
    std::span<object> to = from;
    if (counts.moved) to = resize(target, counts.made, each);
    write(from, to, each, Tokens(delta), level);
  }

  /// Gives the container room for so many entries, in place of those that it has. They stay as they are.
  std::span<object> resize(object& target, std::uint64_t entries, std::size_t each) {
    if (entries > std::numeric_limits<std::uint32_t>::max()) refuse_delta("fewer than 2^32 entries", "more");
    const std::span<object> old = children_of(target);
    std::vector<object> nodes(entries * each);
    const std::span<object> to(nodes);
    object resized = target;
    if (each == 1) {
      resized.via.array = {static_cast<std::uint32_t>(entries), to.data()};
    } else {
      resized.via.map = {static_cast<std::uint32_t>(entries),
                         reinterpret_cast<msgpack::object_kv*>(to.data())};
    }
    if (!nodes.empty()) {
      made_.reserve(made_.size() + 1);
      whole_.resized.emplace(to.data(), std::move(nodes));
      made_.push_back(to.data());
      whole_.waste += to.size_bytes();
    }
    replaced_.push_back(old.data());
    set(target, resized);
    size_.bytes += head_bytes(entries) - head_bytes(old.size() / each);
    return to;
  }

  void write(std::span<object> from, std::span<object> to, std::size_t each, Tokens runs, unsigned level) {
    const bool moved = from.data() != to.data();
    object* source = from.data();
    object* next = to.data();
    while (!runs.empty()) {
      const object& token = runs.next();
      const std::int64_t run = run_of(token);
      if (run > 0) {
        const auto nodes = static_cast<std::size_t>(run) * each;
        if (moved) std::copy_n(source, nodes, next);
        source += nodes;
        next += nodes;
      } else if (run < 0) {
        for (auto nodes = static_cast<std::size_t>(-run) * each; nodes > 0; --nodes) subtract(*source++);
      } else if (token.type == msgpack::type::ARRAY) {
        for (const object& value : children_of(token)) *next++ = add(value, level);
      } else {
        if (moved) std::copy_n(source, each, next);
        source += each;
        next += each;
        if (token.via.boolean) {
          edit(next[-1], runs.next(), level + 1);
        } else {
          subtract(next[-1]);
          set(next[-1], add(runs.next(), level));
        }
      }
    }
  }

  void set(object& place, const object& value) {
    undo_.emplace_back(&place, place);
    place = value;
  }

  /// A value of the delta's, in memory of the whole's.
  object add(const object& value, unsigned level) {
    const unsigned depth = level + depth_of(value);
    if (depth > limits_.max_depth) refuse(errc::too_deep, limits_.max_depth, "levels", depth);
    const Size size = size_of(value);
    size_.bytes += size.bytes;
    size_.elements += size.elements;
    return {value, *whole_.added};
  }
  void subtract(const object& value) {
    const Size size = size_of(value);
    size_.bytes -= size.bytes;
    size_.elements -= size.elements;
  }

  void free(const object* nodes) noexcept {
    const auto found = whole_.resized.find(nodes);
    if (found == whole_.resized.end()) return;
    whole_.waste -= found->second.size() * sizeof(object);
    whole_.resized.erase(found);
  }

  Whole& whole_;
  const DecodeOptions& limits_;
  Size size_;
  std::vector<std::pair<object*, object>> undo_;  // what nodes were
  std::vector<const object*> made_;               // in whole_.resized
  std::vector<const object*> replaced_;           // entries that nothing points to any more
};

EditedTree::EditedTree(const DecodeOptions& limits) : limits_(limits) {
  if (limits.max_depth <= kDeepestLevel) return;
  throw error(sluice::errc::bad_option, "DecodeOptions::max_depth: expected at most " +
                                            std::to_string(kDeepestLevel) + ", got " +
                                            std::to_string(limits.max_depth));
}

void EditedTree::assign(std::span<const std::byte> bytes) {
  Whole whole;
  parse(whole.tree, copy(bytes, limits_.max_bytes, whole.bytes), limits_);
  whole.root = whole.tree.root();
  whole_ = std::move(whole);
}

void EditedTree::apply(std::span<const std::byte> delta) {
  DecodeOptions limits = limits_;  // a delta has one level more, and at most a boolean more for each value
  limits.max_depth = std::min(limits_.max_depth + 1, kDeepestLevel);
  if (limits_.max_elements < std::numeric_limits<std::size_t>::max() / 4)
    limits.max_elements = 2 * limits_.max_elements + 2;
  parse(delta_, copy(delta, limits.max_bytes, delta_bytes_), limits);

  constexpr std::size_t kSmall = 65536;
  if (whole_.waste > kSmall + whole_.size.bytes + whole_.size.elements * sizeof(object)) assign(pack());
  if (whole_.size.elements == 0) whole_.size = size_of(whole_.root);
  whole_.waste += delta.size() * (1 + sizeof(object));  // no value takes more
  Edit edit(whole_, limits_);
  edit.run(delta_.root());
  edit.commit();
}

std::vector<std::byte> EditedTree::pack() const {
  GrowingWriter writer;
  pack_tree(writer, root());
  return std::move(writer).take();
}

EditedTree::Size EditedTree::size_of(const object& value) {
  RoomWriter counting;
  pack_tree(counting, value);
  return {elements_of(value), counting.total()};
}

}  // namespace sluice::codec::detail

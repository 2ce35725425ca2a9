// A journal in memory, which outlives the states that use it, and fails when it is told to.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/codec.hpp"

namespace sluice::test {

class MemoryJournal final : public codec::StateJournal {
 public:
  explicit MemoryJournal(std::uint64_t range = 1) : oldest_(range * codec::kJournalRange + 1) {}

  std::uint64_t append(std::span<const std::byte> record) override {
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      if (full) throw error(std::make_error_code(std::errc::no_space_on_device), "write the journal");
      number = next_locked();
      records_.emplace_back(record.begin(), record.end());
    }
    if (when_recorded) when_recorded();
    return number;
  }
  std::uint64_t oldest() override {
    const std::lock_guard lock(mutex_);
    return oldest_;
  }
  std::uint64_t next() override {
    const std::lock_guard lock(mutex_);
    return next_locked();
  }
  std::unique_ptr<Reader> read(std::uint64_t from) override {
    if (unreadable) throw error(std::make_error_code(std::errc::io_error), "read the journal");
    return std::make_unique<From>(*this, from);
  }
  std::array<std::uint8_t, 16> seal(std::span<const std::byte> text) override {
    if (when_sealed) when_sealed();
    std::array<std::uint8_t, 16> seal{};
    for (std::size_t i = 0; i < text.size(); ++i) {
      auto& byte = seal[i % seal.size()];
      byte = static_cast<std::uint8_t>(byte * 31U + std::to_integer<unsigned>(text[i]) + 1U);
    }
    return seal;
  }

  /// Forgets all but the newest `count` records.
  void keep(std::size_t count) {
    const std::lock_guard lock(mutex_);
    while (records_.size() > count) {
      records_.erase(records_.begin());
      ++oldest_;
    }
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return records_.size();
  }

  /// Called behind each append, before anybody is told of the value.
  std::function<void()> when_recorded{};
  /// Called before each seal.
  std::function<void()> when_sealed{};
  bool full = false;
  bool unreadable = false;

 private:
  class From final : public Reader {
   public:
    From(MemoryJournal& journal, std::uint64_t from) : journal_(journal), next_(from) {}
    std::optional<codec::StateJournal::Record> next() override {
      const std::lock_guard lock(journal_.mutex_);
      if (next_ < journal_.oldest_) throw error(sluice::errc::bad_option, "a record that is gone");
      const std::size_t at = next_ - journal_.oldest_;
      if (at >= journal_.records_.size()) return std::nullopt;
      bytes_ = journal_.records_[at];
      return codec::StateJournal::Record{next_++, bytes_};
    }

   private:
    MemoryJournal& journal_;
    std::uint64_t next_;
    std::vector<std::byte> bytes_;
  };

  std::uint64_t next_locked() const { return oldest_ + records_.size(); }

  mutable std::mutex mutex_;
  std::uint64_t oldest_;
  std::vector<std::vector<std::byte>> records_;
};

}  // namespace sluice::test

// Streams of values as deltas: full values where they have to be, deltas where they fit, nothing where nothing changed.
#include "sluice/codec/delta_stream.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "records.hpp"
#include "sluice/codec.hpp"
#include "throws.hpp"

namespace sluice {
namespace {

using codec::Applied;
using codec::DeltaKind;
using codec::DeltaStreamApplier;
using codec::DeltaStreamManager;
using codec::EncodedValue;
using codec::errc;
using codec::PackedValue;
using codec::SharedValue;
using codec::StreamForm;
using test::raw;
using test::throws;

using State = std::vector<std::string>;

State state(std::size_t changed = 0) {
  State state(100, "what stays as it is");
  for (std::size_t i = 0; i < changed; ++i) state[i] = "changed";
  return state;
}

SharedValue packed_state(std::size_t changed = 0) {
  return PackedValue::of(state(changed));
}

template <typename Applier>
Applied apply(Applier& applier, const std::optional<EncodedValue>& item, std::uint64_t sequence) {
  return applier.apply(item->form, item->base, sequence, item->bytes());
}

/// An applier that has state(1) from a delta, as number 2.
class DeltaStream : public ::testing::Test {
 protected:
  void SetUp() override {
    EXPECT_EQ(apply(applier_, manager_.encode(packed_state(), 1), 1), Applied::taken);
    EXPECT_EQ(apply(applier_, manager_.encode(packed_state(1), 2), 2), Applied::taken);
  }
  State held() const { return applier_.root().as<State>(); }

  DeltaStreamManager manager_;
  DeltaStreamApplier applier_;
};

TEST_F(DeltaStream, BeginsWithAFullValueAndGoesOnWithDeltas) {
  DeltaStreamManager manager;
  DeltaStreamApplier applier;
  EXPECT_FALSE(applier.has_value());
  EXPECT_TRUE(applier.root().is_nil());
  const auto first = manager.encode(packed_state(), 1);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->form, StreamForm::full);
  EXPECT_EQ(apply(applier, first, 1), Applied::taken);
  for (std::uint64_t sequence = 2; sequence < 40; ++sequence) {
    const auto item = manager.encode(packed_state(sequence), sequence);
    ASSERT_TRUE(item);
    EXPECT_EQ(item->form, StreamForm::delta);
    EXPECT_EQ(item->base, sequence - 1);
    EXPECT_LT(item->bytes().size(), 40U);
    EXPECT_EQ(apply(applier, item, sequence), Applied::taken);
    EXPECT_EQ(applier.sequence(), sequence);
    EXPECT_EQ(applier.root().as<State>(), state(sequence));
  }
  EXPECT_EQ(applier.pack(), test::packed(state(39)));
}

TEST_F(DeltaStream, SendsNothingWhenNothingChanged) {
  const auto value = packed_state(2);
  EXPECT_TRUE(manager_.encode(value, 3));
  EXPECT_FALSE(manager_.encode(value, 4));
  EXPECT_FALSE(manager_.encode(packed_state(2), 4));
  const auto next = manager_.encode(packed_state(3), 4);  // on what was sent last
  ASSERT_TRUE(next);
  EXPECT_EQ(next->base, 3U);
}

TEST_F(DeltaStream, SendsAFullValueOnDemandAndWhereADeltaIsLarger) {
  manager_.reset();
  const auto again = manager_.encode(packed_state(1), 3);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->form, StreamForm::full);
  const auto other = manager_.encode(PackedValue::of(State(100, "all else")), 4);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->form, StreamForm::full);
  const auto number = manager_.encode(PackedValue::of(7), 5);
  ASSERT_TRUE(number);
  EXPECT_EQ(number->form, StreamForm::full);
  EXPECT_EQ(apply(applier_, number, 5), Applied::taken);
  EXPECT_EQ(applier_.root().as<int>(), 7);
}

TEST_F(DeltaStream, WantsAFullValueForADeltaOnAnotherBaseAndKeepsItsOwn) {
  const auto missed = manager_.encode(packed_state(2), 3);
  const auto next = manager_.encode(packed_state(3), 4);
  EXPECT_EQ(apply(applier_, next, 4), Applied::full_wanted);
  EXPECT_EQ(held(), state(1));
  EXPECT_EQ(applier_.sequence(), 2U);
  DeltaStreamApplier fresh;
  EXPECT_EQ(apply(fresh, missed, 3), Applied::full_wanted);
  EXPECT_FALSE(fresh.has_value());
  manager_.reset();
  EXPECT_EQ(apply(applier_, manager_.encode(packed_state(3), 5), 5), Applied::taken);
  EXPECT_EQ(apply(applier_, manager_.encode(packed_state(4), 6), 6), Applied::taken);
  EXPECT_EQ(held(), state(4));
}

TEST_F(DeltaStream, StaysAsItWasWhenAnItemIsBad) {
  const auto refused = [&](errc code, StreamForm form, const std::vector<std::byte>& bytes) {
    return throws(code, "", [&] { (void)applier_.apply(form, 2, 3, bytes); });
  };
  // The last token of each is what is wrong: everything before it has been done already.
  EXPECT_TRUE(refused(errc::bad_delta, StreamForm::delta, raw(0x95, 0xc2, 0xa1, 'x', 98, 0xc3, 0x90)));
  EXPECT_TRUE(refused(errc::bad_delta, StreamForm::delta, raw(0x95, 98, 0xff, 0x91, 7, 0xc3, 0x90)));
  EXPECT_TRUE(refused(errc::bad_delta, StreamForm::delta, raw(0x91, 99)));
  EXPECT_TRUE(refused(errc::cut_off, StreamForm::delta, raw(0x92, 100)));
  EXPECT_TRUE(refused(errc::cut_off, StreamForm::full, raw(0x92, 100)));
  EXPECT_TRUE(refused(errc::bad_delta, StreamForm::own_delta, raw(0)));
  EXPECT_TRUE(refused(errc::bad_delta, static_cast<StreamForm>(3), raw(0)));
  EXPECT_EQ(held(), state(1));
  EXPECT_EQ(apply(applier_, manager_.encode(packed_state(2), 3), 3), Applied::taken);
  EXPECT_EQ(held(), state(2));
}

TEST_F(DeltaStream, BoundsAValueThatGrowsDeltaByDelta) {
  DeltaStreamApplier applier({.max_bytes = 1000});
  EXPECT_EQ(applier.apply(StreamForm::full, 0, 0, raw(0x90)), Applied::taken);
  std::uint64_t sequence = 0;
  const auto grow = [&](std::uint64_t entries) {
    auto delta = entries == 0 ? raw(0x91, 0x91) : raw(0x92, static_cast<int>(entries), 0x91);
    const auto item = test::packed(std::string(30, 'x'));
    delta.insert(delta.end(), item.begin(), item.end());
    (void)applier.apply(StreamForm::delta, sequence, sequence + 1, delta);
    ++sequence;
  };
  const auto fill = [&] {
    for (std::uint64_t entries = 0; entries < 32; ++entries) grow(entries);
    EXPECT_EQ(applier.pack().size(), 3 + 32 * 31U);
    EXPECT_TRUE(throws(errc::too_large, "at most 1000 bytes", [&] { grow(32); }));
    EXPECT_EQ(applier.root().as<State>(), State(32, std::string(30, 'x')));
  };
  fill();
  EXPECT_EQ(applier.apply(StreamForm::delta, 32, 33, raw(0x91, 0xe0)), Applied::taken);
  EXPECT_EQ(applier.pack(), raw(0x90));
  sequence = 33;
  fill();  // what was dropped has made room
}

TEST_F(DeltaStream, HoldsNoMoreMemoryAfterManyDeltas) {
  DeltaStreamManager manager;
  DeltaStreamApplier applier;
  std::size_t held = 0;
  State value = state();
  for (std::uint64_t sequence = 1; sequence <= 20'000; ++sequence) {
    value[sequence % 100] = std::string(50, static_cast<char>('a' + sequence % 26));
    if (sequence % 3 == 0) value.erase(value.begin() + 50);
    if (sequence % 3 == 1) value.insert(value.begin() + 20, "new");
    ASSERT_EQ(apply(applier, manager.encode(PackedValue::of(value), sequence), sequence), Applied::taken);
    if (sequence == 2000) held = ::mallinfo2().uordblks;
  }
  EXPECT_LT(::mallinfo2().uordblks, held + 300'000);
  EXPECT_EQ(applier.root().as<State>(), value);
}

TEST_F(DeltaStream, SharesADeltaWithTheOtherStreamsOfTheState) {
  std::vector<DeltaStreamManager> managers(100);
  const auto from = packed_state();
  const auto to = packed_state(5);
  const std::byte* delta = nullptr;
  for (auto& manager : managers) {
    EXPECT_EQ(manager.encode(from, 1)->bytes().data(), from->bytes().data());
    const auto item = manager.encode(to, 2);
    if (delta == nullptr) delta = item->bytes().data();
    EXPECT_EQ(item->bytes().data(), delta);
  }
  EXPECT_EQ(from.use_count(), 1);  // an older value isn't held
  EXPECT_EQ(to.use_count(), 1 + 100);
}

TEST_F(DeltaStream, SharesADeltaBetweenThreads) {
  std::vector<SharedValue> values;
  for (std::size_t i = 0; i < 20; ++i) values.push_back(packed_state(i));
  const auto observe = [&](std::size_t step) {
    DeltaStreamManager manager;
    DeltaStreamApplier applier;
    for (std::size_t i = 0; i < values.size(); i += step) {
      EXPECT_EQ(apply(applier, manager.encode(values[i], i), i), Applied::taken);
      EXPECT_EQ(applier.root().as<State>(), state(i));
    }
  };
  std::vector<std::thread> threads;
  for (const std::size_t step : {1U, 1U, 2U, 3U}) threads.emplace_back(observe, step);
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace sluice

namespace sluice::test {

/// A type with deltas of its own.
struct Tally {
  std::string name;
  std::uint64_t count = 0;
  MSGPACK_DEFINE(name, count)
  bool operator==(const Tally&) const = default;
};

std::optional<std::uint64_t> delta(const Tally& from, const Tally& to) {
  if (from.name != to.name || to.count < from.count) return std::nullopt;
  return to.count - from.count;
}

Tally applying(const Tally& base, std::uint64_t added) {
  if (added == 13) throw std::runtime_error("not that one");
  return {base.name, base.count + added};
}

}  // namespace sluice::test

namespace sluice {
namespace {

using test::Tally;
static_assert(codec::DeltaCodable<Tally>);
static_assert(std::same_as<codec::StateDelta<Tally>, std::uint64_t>);
static_assert(!codec::DeltaCodable<test::Order>);
static_assert(!codec::DeltaCodable<int>);

/// A state whose updates keep the type's own deltas, one stream of it, and its observer.
class OwnDelta : public ::testing::Test {
 protected:
  std::optional<EncodedValue> update(const Tally& tally) {
    const auto packed = PackedValue::of(tally);
    if (packed_) keep_own_delta(tally_, packed_, tally, packed);
    tally_ = tally;
    packed_ = packed;
    return manager_.encode(packed_, ++sequence_);
  }
  Applied send(const Tally& tally) {
    const auto item = update(tally);
    form_ = item->form;
    return apply(applier_, item, sequence_);
  }

  Tally tally_;
  SharedValue packed_;
  DeltaStreamManager manager_{DeltaKind::own};
  codec::OwnDeltaApplier<Tally> applier_;
  std::uint64_t sequence_ = 0;
  StreamForm form_ = StreamForm::full;
};

TEST_F(OwnDelta, IsSentBetweenValuesThatFollowEachOther) {
  EXPECT_EQ(send({"visitors", 1000}), Applied::taken);
  EXPECT_EQ(form_, StreamForm::full);
  EXPECT_EQ(send({"visitors", 1005}), Applied::taken);
  EXPECT_EQ(form_, StreamForm::own_delta);
  EXPECT_EQ(*applier_, (Tally{"visitors", 1005}));
  EXPECT_EQ(applier_.sequence(), 2U);
  EXPECT_FALSE(update({"visitors", 1005}));
}

TEST_F(OwnDelta, IsAFullValueIfThereIsNoneOrOneIsMissing) {
  EXPECT_EQ(send({"visitors", 1000}), Applied::taken);
  EXPECT_EQ(send({"guests", 1000}), Applied::taken);
  EXPECT_EQ(form_, StreamForm::full);
  DeltaStreamManager slow(DeltaKind::own);
  EXPECT_TRUE(slow.encode(packed_, 1));
  update({"guests", 1001});
  update({"guests", 1002});
  EXPECT_EQ(slow.encode(packed_, 2)->form, StreamForm::full);
  const auto next = update({"guests", 1003});
  EXPECT_EQ(next->form, StreamForm::own_delta);
  EXPECT_EQ(apply(applier_, next, sequence_), Applied::full_wanted);
  EXPECT_EQ(*applier_, (Tally{"guests", 1000}));
  manager_.reset();
  EXPECT_EQ(send({"guests", 1003}), Applied::taken);
  EXPECT_EQ(*applier_, (Tally{"guests", 1003}));
}

TEST_F(OwnDelta, LeavesTheValueAsItWasWhenItFails) {
  EXPECT_EQ(send({"visitors", 1000}), Applied::taken);
  EXPECT_THROW((void)send({"visitors", 1013}), std::runtime_error);
  EXPECT_EQ(*applier_, (Tally{"visitors", 1000}));
  const auto item = [&](StreamForm form, const std::vector<std::byte>& bytes) {
    return [&applier = applier_, form, bytes] { (void)applier.apply(form, 1, 2, bytes); };
  };
  EXPECT_TRUE(throws(errc::wrong_type, "", item(StreamForm::own_delta, raw(0xa0))));
  EXPECT_TRUE(throws(errc::wrong_type, "", item(StreamForm::full, raw(0xa0))));
  EXPECT_TRUE(throws(errc::bad_delta, "another form, got 1", item(StreamForm::delta, raw(0x90))));
  EXPECT_EQ(*applier_, (Tally{"visitors", 1000}));
  EXPECT_EQ(applier_.apply(StreamForm::own_delta, 1, 2, raw(7)), Applied::taken);
  EXPECT_EQ(*applier_, (Tally{"visitors", 1007}));
}

TEST_F(OwnDelta, CanBeMixedWithGenericDeltasOfOtherStreams) {
  DeltaStreamManager generic;
  update({std::string(100, 'n'), 1});
  EXPECT_TRUE(generic.encode(packed_, 1));
  const auto own = update({std::string(100, 'n'), 2});
  EXPECT_EQ(own->form, StreamForm::own_delta);
  EXPECT_EQ(generic.encode(packed_, 2)->form, StreamForm::delta);
}

}  // namespace
}  // namespace sluice

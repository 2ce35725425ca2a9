// Typed messages: structs go over a port as msgpack, both ways, and may grow fields that the other side doesn't know.
//
//   build/release/bin/typed_messages shop &    expected output:   Ada ordered 2 things for 17.50
//   build/release/bin/typed_messages order                        accepted as number 1
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <sluice/codec.hpp>
#include <sluice/ipc.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Item {
  std::string name;
  std::uint64_t cents = 0;
  MSGPACK_DEFINE(name, cents)
};

struct Order {
  std::string customer;
  std::vector<Item> items;
  MSGPACK_DEFINE(customer, items)
};

// The client was built before the shop could give discounts, and doesn't have that field.
struct Receipt {
  std::uint64_t number = 0;
  MSGPACK_DEFINE(number)
};
struct ReceiptWithDiscount {
  std::uint64_t number = 0;
  std::optional<std::uint64_t> discount_cents;
  MSGPACK_DEFINE(number, discount_cents)
};

bool shop() {
  sluice::Port port = sluice::listen("typed-messages").accept();
  std::uint64_t number = 0;
  for (;;) {
    const auto order = sluice::codec::receive<Order>(port);
    if (order.status() == sluice::Status::malformed) {  // what came is no Order; the next message may be one
      std::fprintf(stderr, "%s\n", order.failure_text().c_str());
      continue;
    }
    if (!order) return order.status() == sluice::Status::closed;
    std::uint64_t cents = 0;
    for (const Item& item : order->items) cents += item.cents;
    std::printf("%s ordered %zu things for %.2f\n", order->customer.c_str(), order->items.size(),
                static_cast<double>(cents) / 100);
    const ReceiptWithDiscount receipt{++number, cents / 10};
    if (sluice::codec::post(port, receipt) != sluice::Status::ok) return false;
  }
}

bool order() {
  sluice::Port port = sluice::connect("typed-messages");
  const Order order{"Ada", {{"a pen", 250}, {"a book", 1500}}};
  if (sluice::codec::post(port, order) != sluice::Status::ok) return false;
  const auto receipt = sluice::codec::receive<Receipt>(port);
  if (!receipt) return false;
  std::printf("accepted as number %llu\n", static_cast<unsigned long long>(receipt->number));
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc == 2 ? argv[1] : "";
  try {
    if (role == "shop") return shop() ? 0 : 1;
    if (role == "order") return order() ? 0 : 1;
    std::fprintf(stderr, "usage: typed_messages shop | order\n");
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "typed_messages: %s\n", failure.what());
    return 1;
  }
}

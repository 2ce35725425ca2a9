#include <span>
#include <string>

#include "filter_error.hpp"
#include "filter_leaf.hpp"
#include "filter_spec.hpp"
#include "sluice/codec/detail/writers.hpp"
#include "sluice/codec/filter.hpp"
#include "sluice/codec/object_tree.hpp"

namespace sluice::codec {
namespace {

using detail::FilterNode;
using Kind = FilterNode::Kind;
using Packer = msgpack::packer<detail::GrowingWriter>;

std::string_view text_of(const msgpack::object& value) noexcept {
  return {value.via.str.ptr, value.via.str.size};
}

[[noreturn]] void refuse(std::string_view about, const std::string& expected, const msgpack::object& got) {
  refuse_filter("filter" + std::string(about) + ": expected " + expected + ", got " + describe(got));
}

Filter read(const msgpack::object& value, unsigned level);

Filter read_combination(std::string_view name, std::span<const msgpack::object> items, unsigned level) {
  if (items.size() != 1) {
    refuse_filter("filter " + std::string(name) + ": expected an array of 2, got one of " +
                  std::to_string(items.size() + 1));
  }
  if (name == "not") return !read(items[0], level + 1);
  if (items[0].type != msgpack::type::ARRAY || items[0].via.array.size == 0)
    refuse(" " + std::string(name), "an array of filters", items[0]);
  const std::span parts(items[0].via.array.ptr, items[0].via.array.size);
  Filter filter = read(parts[0], level + 1);
  for (const auto& part : parts.subspan(1)) {
    const Filter next = read(part, level + 1);
    filter = name == "and" ? filter && next : filter || next;
  }
  return filter;
}

Filter read_leaf(std::string_view name, std::span<const msgpack::object> items) {
  std::vector<FilterParameter> parameters;
  if (items.size() > 1) {
    refuse_filter("filter: expected an array of a name and parameters, got one of " +
                  std::to_string(items.size() + 1));
  }
  if (!items.empty()) {
    const auto& map = items[0];
    if (map.type != msgpack::type::MAP || map.via.map.size > kMostParameters)
      refuse(": parameters", "a map of at most " + std::to_string(kMostParameters), map);
    for (const auto& [key, parameter] : std::span(map.via.map.ptr, map.via.map.size)) {
      if (key.type != msgpack::type::STR) refuse(": parameters", "a string for each name", key);
      parameters.push_back({text_of(key), parameter});
    }
  }
  return leaf_named(name, parameters);
}

Filter read(const msgpack::object& value, unsigned level) {
  if (level == kDeepestFilter)
    refuse_filter("filter: expected combinations at most " + std::to_string(kDeepestFilter) + " deep");
  if (value.type == msgpack::type::NIL) return {};
  const bool is_array = value.type == msgpack::type::ARRAY && value.via.array.size > 0;
  // A name alone is as good as one in an array.
  const std::span items(is_array ? value.via.array.ptr : &value, is_array ? value.via.array.size : 1);
  if (items[0].type != msgpack::type::STR) refuse("", "a name, or an array that begins with one", value);
  const auto name = text_of(items[0]);
  const auto rest = items.subspan(1);
  return is_combination(name) ? read_combination(name, rest, level) : read_leaf(name, rest);
}

void pack_head(Packer& packer, std::string_view name, std::uint32_t parameters) {
  packer.pack_array(2);
  packer.pack(name);
  packer.pack_map(parameters);
}

template <typename Value>
void pack_parameter(Packer& packer, std::string_view name, const Value& value) {
  packer.pack(name);
  packer.pack(value);
}

/// A filter that has a field at most.
void pack_simple(Packer& packer, std::string_view name, const FieldPath& field) {
  if (field.empty()) {
    packer.pack(name);
  } else {
    pack_head(packer, name, 1);
    pack_parameter(packer, "field", field.text());
  }
}

void pack_threshold(Packer& packer, const FilterNode& node) {
  pack_head(packer, "threshold", node.field.empty() ? 4 : 5);
  pack_parameter(packer, "value", node.value);
  if (!node.field.empty()) pack_parameter(packer, "field", node.field.text());
  pack_parameter(packer, "comparison", name_of(node.comparison));
  pack_parameter(packer, "mode", name_of(node.mode));
  pack_parameter(packer, "non_numbers", name_of(node.non_numbers));
}

void pack_node(Packer& packer, const std::vector<FilterNode>& nodes, std::size_t place);

void pack_parts(Packer& packer, std::string_view name, const std::vector<FilterNode>& nodes,
                std::size_t place) {
  const std::size_t end = place + nodes[place].nodes;
  std::uint32_t parts = 0;
  for (std::size_t at = place + 1; at < end; at += nodes[at].nodes) ++parts;
  packer.pack_array(2);
  packer.pack(name);
  packer.pack_array(parts);
  for (std::size_t at = place + 1; at < end; at += nodes[at].nodes) pack_node(packer, nodes, at);
}

void pack_node(Packer& packer, const std::vector<FilterNode>& nodes, std::size_t place) {
  const FilterNode& node = nodes[place];
  switch (node.kind) {
    case Kind::all:
      packer.pack("all");
      return;
    case Kind::changed:
      return pack_simple(packer, "changed", node.field);
    case Kind::non_empty:
      return pack_simple(packer, "non_empty", node.field);
    case Kind::threshold:
      return pack_threshold(packer, node);
    case Kind::rate_limit:
      pack_head(packer, "rate_limit", 1);
      return pack_parameter(packer, "interval", static_cast<double>(node.interval.count()) / 1e9);
    case Kind::all_of:
      return pack_parts(packer, "and", nodes, place);
    case Kind::any_of:
      return pack_parts(packer, "or", nodes, place);
    case Kind::none_of:
      packer.pack_array(2);
      packer.pack("not");
      return pack_node(packer, nodes, place + 1);
  }
}

}  // namespace

Filter Filter::from(const msgpack::object& value) {
  return read(value, 0);
}

std::vector<std::byte> Filter::packed() const {
  detail::GrowingWriter writer;
  Packer packer(writer);
  pack_node(packer, detail::spec_of(*this).nodes, 0);
  return std::move(writer).take();
}

}  // namespace sluice::codec

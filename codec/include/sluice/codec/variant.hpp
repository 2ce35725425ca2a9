// std::variant in messages: an array of two, the index of the alternative and its value. (msgpack-cxx has the
// same from version 6.1 on.)
#pragma once

#include <cstddef>
#include <msgpack.hpp>
#include <utility>
#include <variant>

#pragma GCC visibility push(default)

#if MSGPACK_VERSION_MAJOR < 6 || (MSGPACK_VERSION_MAJOR == 6 && MSGPACK_VERSION_MINOR < 1)

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS) {
  namespace adaptor {

  template <typename... Alternatives>
  struct pack<std::variant<Alternatives...>> {
    template <typename Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& packer,
                                        const std::variant<Alternatives...>& value) const {
      packer.pack_array(2);
      packer.pack_uint64(value.index());
      std::visit([&](const auto& alternative) { packer.pack(alternative); }, value);
      return packer;
    }
  };

  template <typename... Alternatives>
  struct convert<std::variant<Alternatives...>> {
    const msgpack::object& operator()(const msgpack::object& from,
                                      std::variant<Alternatives...>& value) const {
      if (from.type != msgpack::type::ARRAY || from.via.array.size != 2) throw msgpack::type_error();
      const auto index = from.via.array.ptr[0].as<std::size_t>();
      if (!set(index, from.via.array.ptr[1], value, std::index_sequence_for<Alternatives...>()))
        throw msgpack::type_error();
      return from;
    }

   private:
    template <std::size_t... Indices>
    static bool set(std::size_t index, const msgpack::object& from, std::variant<Alternatives...>& value,
                    std::index_sequence<Indices...>) {
      return ((index == Indices && (from.convert(value.template emplace<Indices>()), true)) || ...);
    }
  };

  }  // namespace adaptor
}
}  // namespace msgpack

#endif

#pragma GCC visibility pop

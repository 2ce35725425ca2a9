#include "sluice/crypto/key/key_ring.hpp"

#include <algorithm>
#include <utility>

namespace sluice::crypto {

void KeyRing::add(SecretKey key) {
  remove(key.id());
  keys_.push_back(std::move(key));
}

bool KeyRing::remove(const KeyId& id) {
  return std::erase_if(keys_, [&](const SecretKey& key) { return key.id() == id; }) > 0;
}

const SecretKey* KeyRing::find(const KeyId& id) const noexcept {
  const auto found = std::ranges::find(keys_, id, &SecretKey::id);
  return found == keys_.end() ? nullptr : &*found;
}

const SecretKey* Keys::find(const KeyId& id) const noexcept {
  if (ring_ != nullptr) return ring_->find(id);
  return key_->id() == id ? key_ : nullptr;
}

std::vector<const SecretKey*> Keys::all() const {
  if (ring_ == nullptr) return {key_};
  std::vector<const SecretKey*> keys;
  for (const auto& key : ring_->keys()) keys.push_back(&key);
  return keys;
}

}  // namespace sluice::crypto

// Loads and stores with CUDA's cache hints, and questions about address spaces.
// Source: CUDA C++ Programming Guide, "Read-Only Data Cache Load Function", "Load/Store Functions Using Cache Hints".
//
// Knows: a hint never changes a value. Streaming accesses (`cs`, `lu`, `wt`) become the compiler's non-temporal ones,
// volatile ones (`cv`) are not repeated or left out, the others are plain.
// Must not know: cache hierarchies.
#pragma once

#include "hipify/core.h"

#if defined(__HIP__)

namespace hipify {
namespace detail {

/// Vectors and structures are moved by the words that the builtin can move.
template <class T>
using access_of = std::conditional_t<sizeof(T) % 4 == 0, unsigned, std::conditional_t<sizeof(T) % 2 == 0, unsigned short, unsigned char>>;

template <class T>
struct words_of {
    access_of<T> word[sizeof(T) / sizeof(access_of<T>)];
};

template <class T>
HIPIFY_DEVICE_FN T streaming_load(const T *address) {
    words_of<T> words;
    const auto *from = reinterpret_cast<const access_of<T> *>(address);
    for (size_t i = 0; i < sizeof(T) / sizeof(access_of<T>); ++i) words.word[i] = __builtin_nontemporal_load(from + i);
    return bits_as<T>(words);
}

template <class T>
HIPIFY_DEVICE_FN void streaming_store(T *address, T value) {
    const words_of<T> words = bits_as<words_of<T>>(value);
    auto *to = reinterpret_cast<access_of<T> *>(address);
    for (size_t i = 0; i < sizeof(T) / sizeof(access_of<T>); ++i) __builtin_nontemporal_store(words.word[i], to + i);
}

template <class T>
HIPIFY_DEVICE_FN T volatile_load(const T *address) {
    words_of<T> words;
    const auto *from = reinterpret_cast<const volatile access_of<T> *>(address);
    for (size_t i = 0; i < sizeof(T) / sizeof(access_of<T>); ++i) words.word[i] = from[i];
    return bits_as<T>(words);
}

}  // namespace detail

template <class T>
HIPIFY_DEVICE_FN T ldg(const T *address) { return *address; }
template <class T>
HIPIFY_DEVICE_FN T ldca(const T *address) { return *address; }
template <class T>
HIPIFY_DEVICE_FN T ldcg(const T *address) { return *address; }
template <class T>
HIPIFY_DEVICE_FN T ldcs(const T *address) { return detail::streaming_load(address); }
template <class T>
HIPIFY_DEVICE_FN T ldlu(const T *address) { return detail::streaming_load(address); }
template <class T>
HIPIFY_DEVICE_FN T ldcv(const T *address) { return detail::volatile_load(address); }
template <class T>
HIPIFY_DEVICE_FN void stwb(T *address, std::common_type_t<T> value) { *address = value; }
template <class T>
HIPIFY_DEVICE_FN void stcg(T *address, std::common_type_t<T> value) { *address = value; }
template <class T>
HIPIFY_DEVICE_FN void stcs(T *address, std::common_type_t<T> value) { detail::streaming_store(address, value); }
template <class T>
HIPIFY_DEVICE_FN void stwt(T *address, std::common_type_t<T> value) { detail::streaming_store(address, value); }

HIPIFY_DEVICE_FN unsigned isShared(const void *address) { return __builtin_amdgcn_is_shared(address); }
HIPIFY_DEVICE_FN unsigned isLocal(const void *address) { return __builtin_amdgcn_is_private(address); }
HIPIFY_DEVICE_FN unsigned isGlobal(const void *address) { return !isShared(address) && !isLocal(address); }
/// The offset in LDS of a generic address into it.
HIPIFY_DEVICE_FN size_t cvta_generic_to_shared(const void *address) {
    using lds = const __attribute__((address_space(3))) void;
    return reinterpret_cast<unsigned>(reinterpret_cast<lds *>(reinterpret_cast<size_t>(address)));
}

}  // namespace hipify

#endif

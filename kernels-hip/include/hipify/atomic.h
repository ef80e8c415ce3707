// Atomic functions that HIP lacks: compare-and-swap of 16 bits, addition of 16-bit floats and of float vectors.
// Source: CUDA C++ Programming Guide, "Atomic Functions".
//
// Knows: no target here has 16-bit memory atomics, so the enclosing aligned word is exchanged. The neighbour's bytes
// are written back as they were read, or the exchange fails; they are never torn.
// Must not know: whether an address is global or LDS, which the compiler finds out.
#pragma once

#include "hipify/core.h"

#if defined(__HIP__)

namespace hipify {
namespace detail {

/// Replaces `*address`, of 16 or 32 bits, by `update(*address)` and returns the old value.
template <class T, class Update>
HIPIFY_DEVICE_FN T exchange_until(T *address, Update update) {
    using bits = std::conditional_t<sizeof(T) == 2, unsigned short, unsigned>;
    static_assert(sizeof(T) == sizeof(bits), "16 or 32 bits");
    const size_t offset = sizeof(T) == 2 ? reinterpret_cast<size_t>(address) & 2 : 0;
    unsigned *word = reinterpret_cast<unsigned *>(reinterpret_cast<char *>(address) - offset);
    const unsigned shift = static_cast<unsigned>(offset) * 8;
    const unsigned kept = sizeof(T) == 2 ? ~(0xffffu << shift) : 0u;
    unsigned old = __hip_atomic_load(word, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
    unsigned seen, replacement;
    do {
        seen = old;
        const T value = bits_as<T>(static_cast<bits>(seen >> shift));
        replacement = (seen & kept) | (static_cast<unsigned>(bits_as<bits>(update(value))) << shift);
    } while (!__hip_atomic_compare_exchange_strong(word, &old, replacement, __ATOMIC_RELAXED, __ATOMIC_RELAXED,
                                                   __HIP_MEMORY_SCOPE_AGENT));
#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__
    // Lanes leave the loop in different turns. LLVM 19 reuses a comparison made inside it (`old == expected`) for the
    // same comparison of the result, and keeps only the last turn's lanes of it. Nothing is known of the result here.
    asm("" : "+v"(seen));
#endif
    return bits_as<T>(static_cast<bits>(seen >> shift));
}

}  // namespace detail
}  // namespace hipify

/// A template, so that a HIP release with a function of its own goes before it.
template <class T, std::enable_if_t<std::is_same<T, unsigned short>::value, int> = 0>
HIPIFY_DEVICE_FN unsigned short atomicCAS(T *address, std::common_type_t<T> expected, std::common_type_t<T> desired) {
    return hipify::detail::exchange_until(
        address, [=](T old) { return static_cast<T>(old == expected ? desired : old); });
}

/// Each component on its own, as CUDA has it: the vector as a whole is not atomic.
template <class T, std::enable_if_t<std::is_same<T, float2>::value, int> = 0>
HIPIFY_DEVICE_FN T atomicAdd(T *address, std::common_type_t<T> value) {
    return make_float2(atomicAdd(&address->x, value.x), atomicAdd(&address->y, value.y));
}
template <class T, std::enable_if_t<std::is_same<T, float4>::value, int> = 0>
HIPIFY_DEVICE_FN T atomicAdd(T *address, std::common_type_t<T> value) {
    return make_float4(atomicAdd(&address->x, value.x), atomicAdd(&address->y, value.y),
                       atomicAdd(&address->z, value.z), atomicAdd(&address->w, value.w));
}

#endif

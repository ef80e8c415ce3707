// Integer intrinsics that HIP lacks, foremost CUDA's packed dot products `__dp4a` and `__dp2a`.
// Source: CUDA Math API, "Integer Intrinsics".
//
// Knows: which dot product the target has, by the feature macros.
// Must not know: what a kernel does with them.
#pragma once

#include "hipify/core.h"

namespace hipify {
namespace detail {

template <class Int>
HIPIFY_FN Int byte_of(Int x, int index) {
    using byte = std::conditional_t<std::is_signed<Int>::value, signed char, unsigned char>;
    return static_cast<byte>(static_cast<unsigned>(x) >> (8 * index));
}

template <class Int>
HIPIFY_FN Int half_of(Int x, int index) {
    using halfword = std::conditional_t<std::is_signed<Int>::value, short, unsigned short>;
    return static_cast<halfword>(static_cast<unsigned>(x) >> (16 * index));
}

/// c + sum of the four products, which wraps around as the instructions do with saturation off. The products need at
/// most 17 bits, hence become 24-bit multiply-adds where there is no dot product.
template <class Int>
HIPIFY_FN Int dot4(Int a, Int b, Int c) {
    const Int products = byte_of(a, 0) * byte_of(b, 0) + byte_of(a, 1) * byte_of(b, 1) +
                         byte_of(a, 2) * byte_of(b, 2) + byte_of(a, 3) * byte_of(b, 3);
    return static_cast<Int>(static_cast<unsigned>(c) + static_cast<unsigned>(products));
}

/// c + a.x * b[first] + a.y * b[first + 1], with 16-bit a and 8-bit b.
template <class Int>
HIPIFY_FN Int dot2(Int a, Int b, Int c, int first) {
    const Int low = half_of(a, 0) * byte_of(b, first), high = half_of(a, 1) * byte_of(b, first + 1);
    return static_cast<Int>(static_cast<unsigned>(c) + static_cast<unsigned>(low) + static_cast<unsigned>(high));
}

}  // namespace detail

/// floor((a + b) / 2). Overloads of the function on 16-bit floats that CUDA gave the same name.
HIPIFY_FN int hadd(int a, int b) { return (a & b) + ((a ^ b) >> 1); }
HIPIFY_FN unsigned uhadd(unsigned a, unsigned b) { return (a & b) + ((a ^ b) >> 1); }

/// ceil((a + b) / 2). HIP's functions of these names lose the carry of the sum.
HIPIFY_FN int rhadd(int a, int b) { return (a | b) - ((a ^ b) >> 1); }
HIPIFY_FN unsigned urhadd(unsigned a, unsigned b) { return (a | b) - ((a ^ b) >> 1); }

/// |a - b| + c. The distance of two signed numbers needs all 32 bits, which HIP's function does not give it.
HIPIFY_FN unsigned sad(int a, int b, unsigned c) {
    const unsigned from = static_cast<unsigned>(a < b ? a : b), to = static_cast<unsigned>(a < b ? b : a);
    return to - from + c;
}

/// Position of the n-th set bit of `mask` from `base`, upwards for a positive n, downwards for a negative one, `base`
/// itself for zero; all ones where there is none.
HIPIFY_FN unsigned fns(unsigned mask, unsigned base, int n) {
    const int direction = n < 0 ? -1 : 1;
    int left = n == 0 ? 1 : n < 0 ? -n : n;
    for (int position = static_cast<int>(base); position >= 0 && position < 32; position += direction) {
        if ((mask >> position & 1u) != 0 && --left == 0) return static_cast<unsigned>(position);
        if (n == 0) break;
    }
    return ~0u;
}

HIPIFY_FN int dp4a(int a, int b, int c) {
#if !defined(__HIP_DEVICE_COMPILE__) || !__HIP_DEVICE_COMPILE__ || HIPIFY_DOT4 == HIPIFY_DOT4_NONE
    return detail::dot4(a, b, c);
#elif HIPIFY_DOT4 == HIPIFY_DOT4_SUDOT4
    return __builtin_amdgcn_sudot4(true, a, true, b, c, false);
#else
    return __builtin_amdgcn_sdot4(a, b, c, false);
#endif
}

// V_DOT4_U32_U8 is in every architecture that has a signed one.
HIPIFY_FN unsigned dp4a(unsigned a, unsigned b, unsigned c) {
#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__ && HIPIFY_DOT4 != HIPIFY_DOT4_NONE
    return __builtin_amdgcn_udot4(a, b, c, false);
#else
    return detail::dot4(a, b, c);
#endif
}

HIPIFY_FN int dp2a_lo(int a, int b, int c) { return detail::dot2(a, b, c, 0); }
HIPIFY_FN int dp2a_hi(int a, int b, int c) { return detail::dot2(a, b, c, 2); }
HIPIFY_FN unsigned dp2a_lo(unsigned a, unsigned b, unsigned c) { return detail::dot2(a, b, c, 0); }
HIPIFY_FN unsigned dp2a_hi(unsigned a, unsigned b, unsigned c) { return detail::dot2(a, b, c, 2); }

#if defined(__HIP__)
HIPIFY_FN int dp4a(char4 a, char4 b, int c) { return dp4a(detail::bits_as<int>(a), detail::bits_as<int>(b), c); }
HIPIFY_FN unsigned dp4a(uchar4 a, uchar4 b, unsigned c) {
    return dp4a(detail::bits_as<unsigned>(a), detail::bits_as<unsigned>(b), c);
}
HIPIFY_FN int dp2a_lo(short2 a, char4 b, int c) { return dp2a_lo(detail::bits_as<int>(a), detail::bits_as<int>(b), c); }
HIPIFY_FN int dp2a_hi(short2 a, char4 b, int c) { return dp2a_hi(detail::bits_as<int>(a), detail::bits_as<int>(b), c); }
HIPIFY_FN unsigned dp2a_lo(ushort2 a, uchar4 b, unsigned c) {
    return dp2a_lo(detail::bits_as<unsigned>(a), detail::bits_as<unsigned>(b), c);
}
HIPIFY_FN unsigned dp2a_hi(ushort2 a, uchar4 b, unsigned c) {
    return dp2a_hi(detail::bits_as<unsigned>(a), detail::bits_as<unsigned>(b), c);
}
#endif

}  // namespace hipify

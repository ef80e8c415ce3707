// CUDA's SIMD-in-a-word intrinsics: four bytes or two halfwords in a 32-bit word (`__vadd4`, `__vsubss4`, ...) and the
// DPX functions (`__viaddmax_s16x2`, ...). Source: CUDA Math API, "SIMD Intrinsics".
//
// Knows: each operation once, on two 16-bit lanes, which is what packed math (VOP3P, every target here) computes.
// Must not know: which target it is compiled for.
//
// Bytes become 16-bit lanes in one of two ways. `scaled` leaves a byte in the high half of its lane, so that its value
// is multiplied by 256 and the lane's own wrap-around and saturation are the byte's. `widened` moves it to the low half
// with sign or zero extension, for operations whose rounding would see the difference.
#pragma once

#include "hipify/core.h"

namespace hipify {
namespace detail {

typedef short signed_lanes __attribute__((ext_vector_type(2)));
typedef unsigned short unsigned_lanes __attribute__((ext_vector_type(2)));

HIPIFY_FN unsigned word(signed_lanes lanes) { return bits_as<unsigned>(lanes); }
HIPIFY_FN unsigned word(unsigned_lanes lanes) { return bits_as<unsigned>(lanes); }
HIPIFY_FN signed_lanes as_signed(unsigned_lanes lanes) { return bits_as<signed_lanes>(lanes); }
HIPIFY_FN unsigned_lanes as_unsigned(signed_lanes lanes) { return bits_as<unsigned_lanes>(lanes); }

/// Moves unsigned lanes onto the signed scale, keeping their order.
HIPIFY_FN signed_lanes flipped(unsigned_lanes lanes) {
    return as_signed(lanes ^ static_cast<unsigned short>(0x8000));
}

/// All ones where a < b. The saturated difference has the true sign, which the shift spreads over the lane.
HIPIFY_FN signed_lanes less(signed_lanes a, signed_lanes b) { return __builtin_elementwise_sub_sat(a, b) >> short(15); }

/// floor((a + b) / 2) without the carry that a sum would lose.
template <class Lanes>
HIPIFY_FN Lanes floor_mean(Lanes a, Lanes b) {
    return (a & b) + ((a ^ b) >> static_cast<decltype(a.x + 0)>(1));
}

struct scaled {
    template <class Lanes>
    static HIPIFY_FN Lanes odd(unsigned x) { return bits_as<Lanes>(x & 0xff00ff00u); }
    template <class Lanes>
    static HIPIFY_FN Lanes even(unsigned x) { return bits_as<Lanes>((x << 8) & 0xff00ff00u); }
    static HIPIFY_FN unsigned join(unsigned odd, unsigned even) {
        return (odd & 0xff00ff00u) | ((even >> 8) & 0x00ff00ffu);
    }
};

struct widened {
    template <class Lanes>
    static HIPIFY_FN Lanes odd(unsigned x) { return bits_as<Lanes>(x) >> static_cast<short>(8); }
    template <class Lanes>
    static HIPIFY_FN Lanes even(unsigned x) { return odd<Lanes>(x << 8); }
    static HIPIFY_FN unsigned join(unsigned odd, unsigned even) {
        return ((odd << 8) & 0xff00ff00u) | (even & 0x00ff00ffu);
    }
};

}  // namespace detail

// The table: name without `2` or `4`, signedness of the lanes, how bytes become lanes, the operation on `a` and `b`.
#define HIPIFY_SIMD(NAME, SIGN, BYTES, RESULT)                                                             \
    namespace detail {                                                                                     \
    HIPIFY_FN unsigned NAME##_lanes(SIGN##_lanes a, SIGN##_lanes b) { return word(RESULT); }               \
    }                                                                                                      \
    HIPIFY_FN unsigned NAME##2(unsigned x, unsigned y) {                                                   \
        return detail::NAME##_lanes(detail::bits_as<detail::SIGN##_lanes>(x),                              \
                                    detail::bits_as<detail::SIGN##_lanes>(y));                             \
    }                                                                                                      \
    HIPIFY_FN unsigned NAME##4(unsigned x, unsigned y) {                                                   \
        using bytes = detail::BYTES;                                                                       \
        using lanes = detail::SIGN##_lanes;                                                                \
        return bytes::join(detail::NAME##_lanes(bytes::odd<lanes>(x), bytes::odd<lanes>(y)),               \
                           detail::NAME##_lanes(bytes::even<lanes>(x), bytes::even<lanes>(y)));            \
    }

HIPIFY_SIMD(vadd, unsigned, scaled, a + b)
HIPIFY_SIMD(vsub, unsigned, scaled, a - b)
HIPIFY_SIMD(vaddss, signed, scaled, __builtin_elementwise_add_sat(a, b))
HIPIFY_SIMD(vsubss, signed, scaled, __builtin_elementwise_sub_sat(a, b))
HIPIFY_SIMD(vaddus, unsigned, scaled, __builtin_elementwise_add_sat(a, b))
HIPIFY_SIMD(vsubus, unsigned, scaled, __builtin_elementwise_sub_sat(a, b))
HIPIFY_SIMD(vmaxs, signed, scaled, __builtin_elementwise_max(a, b))
HIPIFY_SIMD(vmins, signed, scaled, __builtin_elementwise_min(a, b))
HIPIFY_SIMD(vmaxu, unsigned, scaled, __builtin_elementwise_max(a, b))
HIPIFY_SIMD(vminu, unsigned, scaled, __builtin_elementwise_min(a, b))
// The distance of two signed numbers fits unsigned lanes: 127 - -128 is 255.
HIPIFY_SIMD(vabsdiffs, signed, scaled,
            as_unsigned(__builtin_elementwise_max(a, b)) - as_unsigned(__builtin_elementwise_min(a, b)))
HIPIFY_SIMD(vabsdiffu, unsigned, scaled, __builtin_elementwise_max(a, b) - __builtin_elementwise_min(a, b))
// Signed averages round halves away from zero: up where the floor is not negative, down where it is.
HIPIFY_SIMD(vavgs, signed, widened, floor_mean(a, b) + ((a ^ b) & ~(floor_mean(a, b) >> short(15)) & short(1)))
HIPIFY_SIMD(vavgu, unsigned, widened, floor_mean(a, b) + ((a ^ b) & static_cast<unsigned short>(1)))
HIPIFY_SIMD(vhaddu, unsigned, widened, floor_mean(a, b))
HIPIFY_SIMD(vcmplts, signed, scaled, less(a, b))
HIPIFY_SIMD(vcmpltu, unsigned, scaled, less(flipped(a), flipped(b)))
HIPIFY_SIMD(vcmpgts, signed, scaled, less(b, a))
HIPIFY_SIMD(vcmpgtu, unsigned, scaled, less(flipped(b), flipped(a)))
HIPIFY_SIMD(vcmpges, signed, scaled, ~less(a, b))
HIPIFY_SIMD(vcmpgeu, unsigned, scaled, ~less(flipped(a), flipped(b)))
HIPIFY_SIMD(vcmples, signed, scaled, ~less(b, a))
HIPIFY_SIMD(vcmpleu, unsigned, scaled, ~less(flipped(b), flipped(a)))
#undef HIPIFY_SIMD

/// One operand: the same table with `b` unused by name.
#define HIPIFY_SIMD_UNARY(NAME, RESULT)                                                               \
    namespace detail {                                                                                \
    HIPIFY_FN unsigned NAME##_lanes(signed_lanes a) { return word(RESULT); }                          \
    }                                                                                                 \
    HIPIFY_FN unsigned NAME##2(unsigned x) { return detail::NAME##_lanes(detail::bits_as<detail::signed_lanes>(x)); } \
    HIPIFY_FN unsigned NAME##4(unsigned x) {                                                          \
        using bytes = detail::scaled;                                                                 \
        using lanes = detail::signed_lanes;                                                           \
        return bytes::join(detail::NAME##_lanes(bytes::odd<lanes>(x)), detail::NAME##_lanes(bytes::even<lanes>(x))); \
    }

// The most negative number is its own absolute value and its own negation unless saturated.
HIPIFY_SIMD_UNARY(vabs, __builtin_elementwise_abs(a))
HIPIFY_SIMD_UNARY(vabsss, __builtin_elementwise_max(a, __builtin_elementwise_sub_sat(signed_lanes(0), a)))
HIPIFY_SIMD_UNARY(vneg, unsigned_lanes(0) - as_unsigned(a))
HIPIFY_SIMD_UNARY(vnegss, __builtin_elementwise_sub_sat(signed_lanes(0), a))
#undef HIPIFY_SIMD_UNARY

// Equality needs no lanes. `difference + top - 1` below the top bit carries into it wherever a lower bit is set.
#define HIPIFY_SIMD_EQUALITY(N, TOP, BITS)                                          \
    HIPIFY_FN unsigned vcmpne##N(unsigned x, unsigned y) {                          \
        const unsigned difference = x ^ y;                                          \
        const unsigned differs = (((difference & ~TOP) + ~TOP) | difference) & TOP; \
        return (differs << 1) - (differs >> (BITS - 1));                            \
    }                                                                               \
    HIPIFY_FN unsigned vcmpeq##N(unsigned x, unsigned y) { return ~vcmpne##N(x, y); }

HIPIFY_SIMD_EQUALITY(2, 0x80008000u, 16)
HIPIFY_SIMD_EQUALITY(4, 0x80808080u, 8)
#undef HIPIFY_SIMD_EQUALITY

// `__vset*` is `__vcmp*` with one in place of all ones.
#define HIPIFY_SIMD_SET(RELATION)                                                                                  \
    HIPIFY_FN unsigned vset##RELATION##2(unsigned x, unsigned y) { return vcmp##RELATION##2(x, y) & 0x00010001u; } \
    HIPIFY_FN unsigned vset##RELATION##4(unsigned x, unsigned y) { return vcmp##RELATION##4(x, y) & 0x01010101u; }

HIPIFY_SIMD_SET(eq)
HIPIFY_SIMD_SET(ne)
HIPIFY_SIMD_SET(ges)
HIPIFY_SIMD_SET(geu)
HIPIFY_SIMD_SET(gts)
HIPIFY_SIMD_SET(gtu)
HIPIFY_SIMD_SET(les)
HIPIFY_SIMD_SET(leu)
HIPIFY_SIMD_SET(lts)
HIPIFY_SIMD_SET(ltu)
#undef HIPIFY_SIMD_SET

// Sums of absolute differences. A distance does not change when both ends move from the signed to the unsigned scale,
// so V_SAD_U8 and V_SAD_U16 serve both.
HIPIFY_FN unsigned vsadu4(unsigned x, unsigned y) {
#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__
    return __builtin_amdgcn_sad_u8(x, y, 0u);
#else
    const unsigned distance = vabsdiffu4(x, y);
    return (distance & 0xff) + (distance >> 8 & 0xff) + (distance >> 16 & 0xff) + (distance >> 24);
#endif
}
HIPIFY_FN unsigned vsadu2(unsigned x, unsigned y) {
#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__
    return __builtin_amdgcn_sad_u16(x, y, 0u);
#else
    const unsigned distance = vabsdiffu2(x, y);
    return (distance & 0xffff) + (distance >> 16);
#endif
}
HIPIFY_FN unsigned vsads4(unsigned x, unsigned y) { return vsadu4(x ^ 0x80808080u, y ^ 0x80808080u); }
HIPIFY_FN unsigned vsads2(unsigned x, unsigned y) { return vsadu2(x ^ 0x80008000u, y ^ 0x80008000u); }

// DPX: combinations of addition, minimum and maximum. Additions wrap around.
namespace detail {

template <class Lanes>
HIPIFY_FN Lanes larger(Lanes a, Lanes b) { return __builtin_elementwise_max(a, b); }
template <class Lanes>
HIPIFY_FN Lanes smaller(Lanes a, Lanes b) { return __builtin_elementwise_min(a, b); }

}  // namespace detail

/// SUFFIX is CUDA's, WORD the type of its arguments, LANES what it stands for.
#define HIPIFY_DPX(SUFFIX, WORD, LANES)                                                                     \
    HIPIFY_FN WORD viaddmax_##SUFFIX(WORD x, WORD y, WORD z) {                                              \
        return detail::bits_as<WORD>(detail::larger(detail::dpx_sum<LANES>(x, y), detail::bits_as<LANES>(z)));  \
    }                                                                                                       \
    HIPIFY_FN WORD viaddmin_##SUFFIX(WORD x, WORD y, WORD z) {                                              \
        return detail::bits_as<WORD>(detail::smaller(detail::dpx_sum<LANES>(x, y), detail::bits_as<LANES>(z))); \
    }                                                                                                       \
    HIPIFY_FN WORD vimax3_##SUFFIX(WORD x, WORD y, WORD z) {                                                \
        return detail::bits_as<WORD>(detail::larger(                                                        \
            detail::larger(detail::bits_as<LANES>(x), detail::bits_as<LANES>(y)), detail::bits_as<LANES>(z)));  \
    }                                                                                                       \
    HIPIFY_FN WORD vimin3_##SUFFIX(WORD x, WORD y, WORD z) {                                                \
        return detail::bits_as<WORD>(detail::smaller(                                                       \
            detail::smaller(detail::bits_as<LANES>(x), detail::bits_as<LANES>(y)), detail::bits_as<LANES>(z))); \
    }

/// The signed ones also exist with negative results replaced by zero.
#define HIPIFY_DPX_RELU(SUFFIX, WORD, LANES)                                                                  \
    namespace detail {                                                                                        \
    HIPIFY_FN WORD relu_##SUFFIX(WORD x) { return bits_as<WORD>(larger(bits_as<LANES>(x), LANES(0))); }       \
    }                                                                                                         \
    HIPIFY_FN WORD viaddmax_##SUFFIX##_relu(WORD x, WORD y, WORD z) {                                         \
        return detail::relu_##SUFFIX(viaddmax_##SUFFIX(x, y, z));                                             \
    }                                                                                                         \
    HIPIFY_FN WORD viaddmin_##SUFFIX##_relu(WORD x, WORD y, WORD z) {                                         \
        return detail::relu_##SUFFIX(viaddmin_##SUFFIX(x, y, z));                                             \
    }                                                                                                         \
    HIPIFY_FN WORD vimax3_##SUFFIX##_relu(WORD x, WORD y, WORD z) {                                           \
        return detail::relu_##SUFFIX(vimax3_##SUFFIX(x, y, z));                                               \
    }                                                                                                         \
    HIPIFY_FN WORD vimin3_##SUFFIX##_relu(WORD x, WORD y, WORD z) {                                           \
        return detail::relu_##SUFFIX(vimin3_##SUFFIX(x, y, z));                                               \
    }                                                                                                         \
    HIPIFY_FN WORD vimax_##SUFFIX##_relu(WORD x, WORD y) { return vimax3_##SUFFIX##_relu(x, y, y); }          \
    HIPIFY_FN WORD vimin_##SUFFIX##_relu(WORD x, WORD y) { return vimin3_##SUFFIX##_relu(x, y, y); }

namespace detail {

/// The wrapping sum of the operands' lanes; unsigned, because signed overflow has no meaning in C++.
template <class Lanes, class Word>
HIPIFY_FN Lanes dpx_sum(Word x, Word y) {
    using lanes = std::conditional_t<std::is_integral<Lanes>::value, unsigned, unsigned_lanes>;
    return bits_as<Lanes>(static_cast<lanes>(bits_as<lanes>(x) + bits_as<lanes>(y)));
}

}  // namespace detail

HIPIFY_DPX(s16x2, unsigned, detail::signed_lanes)
HIPIFY_DPX(u16x2, unsigned, detail::unsigned_lanes)
HIPIFY_DPX(s32, int, int)
HIPIFY_DPX(u32, unsigned, unsigned)
HIPIFY_DPX_RELU(s16x2, unsigned, detail::signed_lanes)
HIPIFY_DPX_RELU(s32, int, int)
#undef HIPIFY_DPX
#undef HIPIFY_DPX_RELU

/// Maximum and minimum that also tell whether the first operand was taken; a tie takes the first.
#define HIPIFY_DPX_CHOICE(SUFFIX, WORD, LANES)                                                  \
    HIPIFY_FN WORD vibmax_##SUFFIX(WORD x, WORD y, bool *first) {                               \
        *first = x >= y;                                                                        \
        return *first ? x : y;                                                                  \
    }                                                                                           \
    HIPIFY_FN WORD vibmin_##SUFFIX(WORD x, WORD y, bool *first) {                               \
        *first = x <= y;                                                                        \
        return *first ? x : y;                                                                  \
    }                                                                                           \
    HIPIFY_FN unsigned vibmax_##LANES(unsigned x, unsigned y, bool *high, bool *low) {          \
        const auto a = detail::bits_as<detail::choice_##LANES>(x), b = detail::bits_as<detail::choice_##LANES>(y); \
        *high = a.y >= b.y;                                                                     \
        *low = a.x >= b.x;                                                                      \
        return detail::word(detail::larger(a, b));                                              \
    }                                                                                           \
    HIPIFY_FN unsigned vibmin_##LANES(unsigned x, unsigned y, bool *high, bool *low) {          \
        const auto a = detail::bits_as<detail::choice_##LANES>(x), b = detail::bits_as<detail::choice_##LANES>(y); \
        *high = a.y <= b.y;                                                                     \
        *low = a.x <= b.x;                                                                      \
        return detail::word(detail::smaller(a, b));                                             \
    }

namespace detail {
using choice_s16x2 = signed_lanes;
using choice_u16x2 = unsigned_lanes;
}  // namespace detail

HIPIFY_DPX_CHOICE(s32, int, s16x2)
HIPIFY_DPX_CHOICE(u32, unsigned, u16x2)
#undef HIPIFY_DPX_CHOICE

}  // namespace hipify

// Compares the device header with the definitions of the functions, computed the plain way: exhaustively where the
// operands are few, on pseudo-random operands elsewhere. Prints what differs; exits with 1 if anything does.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "cases.h"

namespace {

int failures = 0;

void expect(const char *name, unsigned long long got, unsigned long long wanted, unsigned long long a,
            unsigned long long b = 0, unsigned long long c = 0) {
    if (got == wanted) return;
    if (++failures <= 20) {
        std::printf("%s(0x%llx, 0x%llx, 0x%llx) is 0x%llx and should be 0x%llx\n", name, a, b, c, got, wanted);
    }
}

unsigned random_word() {
    static unsigned long long state = 20261122;
    state += 0x9e3779b97f4a7c15ull;
    unsigned long long z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return static_cast<unsigned>(z ^ (z >> 31));
}

// ---- SIMD in a word ---------------------------------------------------------------------------------------------

long long clamp(long long x, long long low, long long high) { return x < low ? low : x > high ? high : x; }
long long half_away_from_zero(long long doubled) { return doubled >= 0 ? (doubled + 1) >> 1 : -((-doubled + 1) >> 1); }

struct simd {
    const char *name;
    bool is_signed;
    unsigned (*pairs)(unsigned, unsigned);
    unsigned (*quads)(unsigned, unsigned);
    /// The result of one lane, of which the lane keeps as many bits as it has.
    std::function<long long(long long a, long long b, int bits)> lane;
};

long long lane_of(unsigned word, int index, int bits, bool is_signed) {
    const unsigned raw = (word >> (index * bits)) & ((1u << bits) - 1);
    return is_signed && raw >> (bits - 1) ? static_cast<long long>(raw) - (1ll << bits) : raw;
}

void check(const simd &function, unsigned a, unsigned b) {
    for (int bits : {16, 8}) {
        unsigned wanted = 0;
        for (int i = 0; i < 32 / bits; ++i) {
            const long long result = function.lane(lane_of(a, i, bits, function.is_signed), lane_of(b, i, bits, function.is_signed), bits);
            wanted |= (static_cast<unsigned>(result) & ((1u << bits) - 1)) << (i * bits);
        }
        expect(function.name, bits == 16 ? function.pairs(a, b) : function.quads(a, b), wanted, a, b, bits);
    }
}

#define SIMD(NAME, SIGNED, RESULT)                                                            \
    {#NAME, SIGNED, NAME##2, NAME##4, [](long long a, long long b, int bits) -> long long { \
         (void)bits;                                                                          \
         (void)b;                                                                             \
         const long long top = 1ll << (bits - 1);                                             \
         (void)top;                                                                           \
         return RESULT;                                                                       \
     }}
#define RELATIONS(NAME, SIGNED, OPERATOR) \
    SIMD(vcmp##NAME, SIGNED, a OPERATOR b ? -1 : 0), SIMD(vset##NAME, SIGNED, a OPERATOR b ? 1 : 0)
#define UNARY_OF(NAME)                                       \
    unsigned NAME##_first2(unsigned a, unsigned) { return NAME##2(a); } \
    unsigned NAME##_first4(unsigned a, unsigned) { return NAME##4(a); }
UNARY_OF(vabs)
UNARY_OF(vabsss)
UNARY_OF(vneg)
UNARY_OF(vnegss)

void simd_in_a_word() {
    const simd functions[] = {
        SIMD(vadd, false, a + b),
        SIMD(vsub, false, a - b),
        SIMD(vaddss, true, clamp(a + b, -top, top - 1)),
        SIMD(vsubss, true, clamp(a - b, -top, top - 1)),
        SIMD(vaddus, false, clamp(a + b, 0, 2 * top - 1)),
        SIMD(vsubus, false, clamp(a - b, 0, 2 * top - 1)),
        SIMD(vmaxs, true, a > b ? a : b),
        SIMD(vmins, true, a < b ? a : b),
        SIMD(vmaxu, false, a > b ? a : b),
        SIMD(vminu, false, a < b ? a : b),
        SIMD(vabsdiffs, true, std::llabs(a - b)),
        SIMD(vabsdiffu, false, std::llabs(a - b)),
        SIMD(vavgs, true, half_away_from_zero(a + b)),
        SIMD(vavgu, false, (a + b + 1) / 2),
        SIMD(vhaddu, false, (a + b) / 2),
        SIMD(vabs_first, true, std::llabs(a)),
        SIMD(vabsss_first, true, clamp(std::llabs(a), 0, top - 1)),
        SIMD(vneg_first, true, -a),
        SIMD(vnegss_first, true, clamp(-a, -top, top - 1)),
        RELATIONS(eq, false, ==), RELATIONS(ne, false, !=),
        RELATIONS(ges, true, >=), RELATIONS(geu, false, >=), RELATIONS(gts, true, >), RELATIONS(gtu, false, >),
        RELATIONS(les, true, <=), RELATIONS(leu, false, <=), RELATIONS(lts, true, <), RELATIONS(ltu, false, <),
    };
    for (const simd &function : functions) {
        // Every pair of bytes in every lane, beside other ones.
        for (unsigned pair = 0; pair < 65536; ++pair) {
            const unsigned a = pair >> 8, b = pair & 0xff, r = random_word(), s = random_word();
            const int shift = static_cast<int>(pair % 4) * 8;
            check(function, (a << shift) | (r & ~(0xffu << shift)), (b << shift) | (s & ~(0xffu << shift)));
        }
        const unsigned edges[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x00ff, 0xff00};
        for (unsigned a : edges) {
            for (unsigned b : edges) check(function, a << 16 | b, b << 16 | a), check(function, a | a << 16, b | b << 16);
        }
    }
    for (int i = 0; i < 200000; ++i) {
        const unsigned a = random_word(), b = random_word();
        long long sums[2][2] = {};
        for (int is_signed : {0, 1}) {
            for (int k = 0; k < 4; ++k) sums[is_signed][1] += std::llabs(lane_of(a, k, 8, is_signed) - lane_of(b, k, 8, is_signed));
            for (int k = 0; k < 2; ++k) sums[is_signed][0] += std::llabs(lane_of(a, k, 16, is_signed) - lane_of(b, k, 16, is_signed));
        }
        expect("vsadu2", vsadu2(a, b), static_cast<unsigned>(sums[0][0]), a, b);
        expect("vsads2", vsads2(a, b), static_cast<unsigned>(sums[1][0]), a, b);
        expect("vsadu4", vsadu4(a, b), static_cast<unsigned>(sums[0][1]), a, b);
        expect("vsads4", vsads4(a, b), static_cast<unsigned>(sums[1][1]), a, b);
    }
}

// ---- DPX --------------------------------------------------------------------------------------------------------

short low(unsigned x) { return static_cast<short>(x); }
short high(unsigned x) { return static_cast<short>(x >> 16); }
template <class Lane>
unsigned per_lane(unsigned a, unsigned b, unsigned c, Lane lane) {
    return static_cast<unsigned short>(lane(low(a), low(b), low(c))) |
           static_cast<unsigned>(static_cast<unsigned short>(lane(high(a), high(b), high(c)))) << 16;
}

void dpx() {
    const auto wrapped = [](int x) { return static_cast<short>(x); };
    for (int i = 0; i < 300000; ++i) {
        const unsigned a = random_word(), b = random_word(), c = random_word();
        const int x = static_cast<int>(a), y = static_cast<int>(b), z = static_cast<int>(c), sum = static_cast<int>(a + b);
        expect("viaddmax_s16x2", viaddmax_s16x2(a, b, c), per_lane(a, b, c, [&](short p, short q, short r) { return std::max(wrapped(p + q), r); }), a, b, c);
        expect("viaddmin_s16x2", viaddmin_s16x2(a, b, c), per_lane(a, b, c, [&](short p, short q, short r) { return std::min(wrapped(p + q), r); }), a, b, c);
        expect("viaddmax_s16x2_relu", viaddmax_s16x2_relu(a, b, c), per_lane(a, b, c, [&](short p, short q, short r) { return std::max<short>(std::max(wrapped(p + q), r), 0); }), a, b, c);
        expect("vimin3_s16x2_relu", vimin3_s16x2_relu(a, b, c), per_lane(a, b, c, [&](short p, short q, short r) { return std::max<short>(std::min(std::min(p, q), r), 0); }), a, b, c);
        expect("vimax3_u16x2", vimax3_u16x2(a, b, c), per_lane(a, b, c, [&](short p, short q, short r) {
                   using u = unsigned short;
                   return std::max(std::max(static_cast<u>(p), static_cast<u>(q)), static_cast<u>(r));
               }), a, b, c);
        expect("viaddmax_s32", static_cast<unsigned>(viaddmax_s32(x, y, z)), static_cast<unsigned>(std::max(sum, z)), a, b, c);
        expect("viaddmin_u32", viaddmin_u32(a, b, c), std::min(a + b, c), a, b, c);
        expect("viaddmin_s32_relu", static_cast<unsigned>(viaddmin_s32_relu(x, y, z)), static_cast<unsigned>(std::max(std::min(sum, z), 0)), a, b, c);
        expect("vimax_s32_relu", static_cast<unsigned>(vimax_s32_relu(x, y)), static_cast<unsigned>(std::max(std::max(x, y), 0)), a, b);
        bool first = false, upper = false, lower = false;
        expect("vibmax_s32", static_cast<unsigned>(vibmax_s32(x, y, &first)), static_cast<unsigned>(std::max(x, y)), a, b);
        expect("vibmax_s32 predicate", first, x >= y, a, b);
        expect("vibmin_u16x2", vibmin_u16x2(a, b, &upper, &lower), (std::min(a >> 16, b >> 16) << 16) | std::min(a & 0xffff, b & 0xffff), a, b);
        expect("vibmin_u16x2 predicates", upper * 2u + lower, ((a >> 16) <= (b >> 16)) * 2u + ((a & 0xffff) <= (b & 0xffff)), a, b);
    }
}

// ---- dot products, integers -------------------------------------------------------------------------------------

void dot_products() {
    for (int i = 0; i < 300000; ++i) {
        const unsigned corners[] = {0x80808080u, 0x7f7f7f7fu, 0xffffffffu, 0};
        const unsigned a = i < 16 ? corners[i % 4] : random_word(), b = i < 16 ? corners[i / 4] : random_word();
        const unsigned c = random_word();
        unsigned s = c, u = c, low2 = c, high2 = c;
        for (int k = 0; k < 4; ++k) {
            s += static_cast<unsigned>(lane_of(a, k, 8, true) * lane_of(b, k, 8, true));
            u += static_cast<unsigned>(lane_of(a, k, 8, false) * lane_of(b, k, 8, false));
        }
        for (int k = 0; k < 2; ++k) {
            low2 += static_cast<unsigned>(lane_of(a, k, 16, true) * lane_of(b, k, 8, true));
            high2 += static_cast<unsigned>(lane_of(a, k, 16, true) * lane_of(b, k + 2, 8, true));
        }
        expect("dp4a s32", static_cast<unsigned>(dp4a(static_cast<int>(a), static_cast<int>(b), static_cast<int>(c))), s, a, b, c);
        expect("dp4a u32", dp4a(a, b, c), u, a, b, c);
        expect("dp2a_lo", static_cast<unsigned>(dp2a_lo(static_cast<int>(a), static_cast<int>(b), static_cast<int>(c))), low2, a, b, c);
        expect("dp2a_hi", static_cast<unsigned>(dp2a_hi(static_cast<int>(a), static_cast<int>(b), static_cast<int>(c))), high2, a, b, c);
    }
    expect("fns up", fns(0b101100, 0, 2), 3, 0);
    expect("fns down", fns(0b101100, 5, -3), 2, 0);
    expect("fns here", fns(0b101100, 3, 0), 3, 0);
    expect("fns none", fns(0b101100, 6, 1), ~0u, 0);
}

// ---- warps ------------------------------------------------------------------------------------------------------

void lanes_of_shuffles() {
    using detail::shuffle;
    using detail::source_lane;
    for (int width = 1; width <= 32; width *= 2) {
        for (int lane = 0; lane < 32; ++lane) {
            const int first = lane / width * width;
            for (int operand = 0; operand < 32; ++operand) {
                const int up = lane - operand, down = lane + operand, other = lane ^ operand;
                expect("shfl", source_lane(shuffle::index, lane, operand, width), first + operand % width, lane, operand, width);
                expect("shfl_up", source_lane(shuffle::up, lane, operand, width), up < first ? lane : up, lane, operand, width);
                expect("shfl_down", source_lane(shuffle::down, lane, operand, width), down >= first + width ? lane : down, lane, operand, width);
                expect("shfl_xor", source_lane(shuffle::exchange, lane, operand, width), other >= first + width ? lane : other, lane, operand, width);
            }
        }
    }
}

// ---- floats -----------------------------------------------------------------------------------------------------

/// The number nearest to `x` among the format's, found by search; ties go to even bits. Bits grow with magnitude.
template <class Widen>
unsigned nearest(double x, unsigned largest, Widen widen) {
    const double magnitude = std::fabs(x);
    unsigned low = 0, high = largest;
    while (low < high) {
        const unsigned middle = (low + high + 1) / 2;
        if (widen(middle) <= magnitude) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    if (low < largest) {
        const double below = magnitude - widen(low), above = widen(low + 1) - magnitude;
        if (above < below || (above == below && (low & 1))) ++low;
    }
    return low;
}

double fp8_value(unsigned bits, int mantissa_bits, int bias) {
    const int exponent = static_cast<int>(bits >> mantissa_bits), mantissa = static_cast<int>(bits & ((1u << mantissa_bits) - 1));
    return exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                         : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

void fp8() {
    for (auto kind : {E4M3, E5M2}) {
        const int mantissa_bits = kind == E4M3 ? 3 : 2, bias = kind == E4M3 ? 7 : 15;
        const unsigned largest = kind == E4M3 ? 0x7e : 0x7b;
        const auto value = [=](unsigned bits) { return fp8_value(bits, mantissa_bits, bias); };
        for (unsigned bits = 0; bits < 256; ++bits) {
            const float back = half2float(half(cvt_fp8_to_halfraw(static_cast<fp8_storage_t>(bits), kind)));
            const unsigned magnitude = bits & 0x7f;
            const double wanted = magnitude <= largest ? std::copysign(value(magnitude), bits & 0x80 ? -1.0 : 1.0)
                                  : kind == E5M2 && magnitude == 0x7c ? (bits & 0x80 ? -INFINITY : INFINITY) : NAN;
            if (wanted != wanted) {
                expect("fp8 to half, NaN", back != back, true, bits);
            } else {
                expect("fp8 to half", float_as_uint(back), float_as_uint(static_cast<float>(wanted)), bits, kind);
            }
        }
        // Every half, and floats at and beside the middles between neighbours.
        const auto encode = [&](double x) {
            const unsigned sign = std::signbit(x) ? 0x80 : 0;
            const unsigned wanted = sign | nearest(x, largest, value);
            expect("float to fp8", cvt_float_to_fp8(static_cast<float>(x), SATFINITE, kind), wanted, float_as_uint(static_cast<float>(x)), kind);
            expect("double to fp8", cvt_double_to_fp8(x, SATFINITE, kind), wanted, static_cast<unsigned long long>(double_as_longlong(x)), kind);
            const bool is_over = std::fabs(x) > value(largest) + (value(largest) - value(largest - 1)) / 2 ||
                                 (std::fabs(x) == value(largest) + (value(largest) - value(largest - 1)) / 2 && (largest & 1));
            expect("float to fp8, unsaturated", cvt_float_to_fp8(static_cast<float>(x), NOSAT, kind),
                   is_over ? sign | (kind == E4M3 ? 0x7f : 0x7c) : wanted, float_as_uint(static_cast<float>(x)), kind);
        };
        for (unsigned bits = 0; bits < 65536; ++bits) {
            const float x = half2float(ushort_as_half(static_cast<unsigned short>(bits)));
            if (x == x) encode(x);
        }
        for (unsigned bits = 0; bits < largest; ++bits) {
            const double middle = (value(bits) + value(bits + 1)) / 2;
            for (double x : {middle, std::nextafter(static_cast<float>(middle), 1e9f) * 1.0, std::nextafter(static_cast<float>(middle), -1e9f) * 1.0}) {
                encode(x);
                encode(-x);
            }
            // Double rounding: beside a tie by less than a float can say.
            const unsigned up = cvt_double_to_fp8(std::nextafter(middle, 1e9), SATFINITE, kind);
            const unsigned down = cvt_double_to_fp8(std::nextafter(middle, -1e9), SATFINITE, kind);
            expect("double to fp8 above a tie", up, bits + 1, bits, kind);
            expect("double to fp8 below a tie", down, bits, bits, kind);
        }
    }
}

/// One 16-bit type against double arithmetic. `T` has `largest` finite bits.
template <class T, class FromBits, class Bits>
void float16(const char *name, unsigned largest, FromBits from_bits, Bits bits_of) {
    const auto value = [&](unsigned bits) { return static_cast<double>(static_cast<float>(from_bits(bits))); };
    const double beyond = value(largest) + (value(largest) - value(largest - 1)) / 2;
    const auto rounded = [&](double x) {
        const unsigned sign = std::signbit(x) ? 0x8000 : 0;
        return sign | (std::fabs(x) >= beyond ? largest + 1 : nearest(x, largest, value));
    };
    for (unsigned bits = 0; bits <= largest; ++bits) {
        for (double sign : {1.0, -1.0}) {
            const double x = sign * value(bits), next = sign * (bits == largest ? beyond : value(bits + 1));
            const double middle = (x + next) / 2;
            for (double y : {x, middle, std::nextafter(middle, 0.0), std::nextafter(middle, sign * 1e300), x + (next - x) * 0.3}) {
                expect(name, bits_of(T(y)), rounded(y), static_cast<unsigned long long>(double_as_longlong(y)));
            }
        }
    }
    for (int i = 0; i < 400000; ++i) {
        const unsigned a = random_word() & 0xffff, b = random_word() & 0xffff, c = random_word() & 0xffff;
        const T x = from_bits(a), y = from_bits(b), z = from_bits(c);
        const double p = static_cast<float>(x), q = static_cast<float>(y), r = static_cast<float>(z);
        const auto compare = [&](const char *what, T got, double wanted) {
            if (wanted != wanted) {
                expect(what, hisnan(got), true, a, b, c);
            } else {
                expect(what, bits_of(got), rounded(wanted), a, b, c);
            }
        };
        // Sums of bfloat16 may need more than a double's 53 bits; a long double has 64.
        if (std::fabs(std::log2(std::fabs(p)) - std::log2(std::fabs(q))) < 40) compare("sum", x + y, p + q);
        compare("product", x * y, p * q);
        if (std::fabs(std::log2(std::fabs(p * q)) - std::log2(std::fabs(r))) < 30) compare("hfma", hfma(x, y, z), p * q + r);
        if (std::isfinite(p / q) && std::fabs(p / q) > value(1) * 65536) compare("quotient", x / y, p / q);
        expect("hlt", hlt(x, y), p < q, a, b);
        expect("hneu", hneu(x, y), p != q, a, b);
        expect("hmax_nan", hisnan(hmax_nan(x, y)), p != p || q != q, a, b);
        if (p == p && q == q && p != q) expect("hmin", bits_of(hmin(x, y)), p < q ? a : b, a, b);
    }
}

/// Conversions from float with a direction: the two neighbours of the number, and the one nearer to zero.
template <class FromBits>
void float16_directions(const char *name, unsigned (*down)(float), unsigned (*up)(float), unsigned (*zero)(float), FromBits from_bits) {
    for (int i = 0; i < 400000; ++i) {
        const unsigned word = random_word();
        const float x = uint_as_float(i % 2 ? word : (word & 0x80ffffffu) | (100 + word % 45) << 23);
        if (x != x) continue;
        const unsigned below = down(x), above = up(x);
        const float low = from_bits(below), high = from_bits(above);
        expect(name, low <= x && x <= high, true, float_as_uint(x), below, above);
        expect(name, zero(x), std::signbit(x) ? above : below, float_as_uint(x), below, above);
        if (low == high) continue;
        const unsigned next = below == 0x8000 ? 1 : below & 0x8000 ? below - 1 : below + 1;
        expect(name, above, next, float_as_uint(x), below);
    }
}

void float16_types() {
    float16<half>("half of double", 0x7bff, [](unsigned bits) { return ushort_as_half(static_cast<unsigned short>(bits)); }, [](half x) { return half_as_ushort(x); });
    float16<bfloat16>("bfloat16 of double", 0x7f7f, [](unsigned bits) { return ushort_as_bfloat16(static_cast<unsigned short>(bits)); }, [](bfloat16 x) { return bfloat16_as_ushort(x); });
    float16_directions("float to half in a direction", [](float x) -> unsigned { return half_as_ushort(float2half_rd(x)); },
                       [](float x) -> unsigned { return half_as_ushort(float2half_ru(x)); },
                       [](float x) -> unsigned { return half_as_ushort(float2half_rz(x)); },
                       [](unsigned bits) { return half2float(ushort_as_half(static_cast<unsigned short>(bits))); });
    float16_directions("float to bfloat16 in a direction", [](float x) -> unsigned { return bfloat16_as_ushort(float2bfloat16_rd(x)); },
                       [](float x) -> unsigned { return bfloat16_as_ushort(float2bfloat16_ru(x)); },
                       [](float x) -> unsigned { return bfloat16_as_ushort(float2bfloat16_rz(x)); },
                       [](unsigned bits) { return bfloat162float(ushort_as_bfloat16(static_cast<unsigned short>(bits))); });
}

/// A conversion and an operation in each direction, against the same in long double with the nearest neighbours.
template <class Narrow>
void expect_direction(const char *name, long double exact, Narrow down, Narrow up, Narrow zero) {
    const auto bits = [](Narrow x) {
        unsigned long long pattern = 0;
        std::memcpy(&pattern, &x, sizeof x);
        return pattern;
    };
    // `down` is the largest number not above, `up` the smallest not below.
    const bool is_down = static_cast<long double>(down) <= exact && !(static_cast<long double>(std::nextafter(down, Narrow(INFINITY))) <= exact && down != Narrow(INFINITY));
    const bool is_up = static_cast<long double>(up) >= exact && !(static_cast<long double>(std::nextafter(up, Narrow(-INFINITY))) >= exact && up != Narrow(-INFINITY));
    expect(name, is_down, true, bits(down), bits(up), bits(zero));
    expect(name, is_up, true, bits(down), bits(up), bits(zero));
    expect(name, bits(zero), bits(exact < 0 ? up : down), bits(down), bits(up), bits(zero));
}

void directions() {
    for (int i = 0; i < 300000; ++i) {
        const unsigned wa = random_word(), wb = random_word(), wc = random_word();
        // Exponents close enough for a long double to hold the exact results.
        const float a = uint_as_float((wa & 0x807fffffu) | ((110 + wa % 20) << 23 & 0x7f800000u));
        const float b = uint_as_float((wb & 0x807fffffu) | ((110 + wb % 20) << 23 & 0x7f800000u));
        const float c = uint_as_float((wc & 0x807fffffu) | ((118 + wc % 9) << 23 & 0x7f800000u));
        const long double p = a, q = b;
        if (p + q != 0) expect_direction("fadd", p + q, fadd_rd(a, b), fadd_ru(a, b), fadd_rz(a, b));
        if (p - q != 0) expect_direction("fsub", p - q, fsub_rd(a, b), fsub_ru(a, b), fsub_rz(a, b));
        expect_direction("fmul", p * q, fmul_rd(a, b), fmul_ru(a, b), fmul_rz(a, b));
        expect_direction("fmaf", p * q + c, fmaf_rd(a, b, c), fmaf_ru(a, b, c), fmaf_rz(a, b, c));
        expect_direction("fdiv", p / q, fdiv_rd(a, b), fdiv_ru(a, b), fdiv_rz(a, b));
        expect_direction("frcp", 1 / q, frcp_rd(b), frcp_ru(b), frcp_rz(b));
        const float positive = std::fabs(a);
        expect_direction("fsqrt", sqrtl(positive), fsqrt_rd(positive), fsqrt_ru(positive), fsqrt_rz(positive));
        const long long wide = static_cast<long long>(static_cast<unsigned long long>(wa) << 32 | wb) >> (wc % 60);
        expect_direction("ll2float", wide, ll2float_rd(wide), ll2float_ru(wide), ll2float_rz(wide));
        expect_direction("ll2double", wide, ll2double_rd(wide), ll2double_ru(wide), ll2double_rz(wide));
        expect("ll2float_rn", float_as_uint(ll2float_rn(wide)), float_as_uint(static_cast<float>(wide)), static_cast<unsigned long long>(wide));
        expect("ull2double_rn", static_cast<unsigned long long>(double_as_longlong(ull2double_rn(static_cast<unsigned long long>(wide)))),
               static_cast<unsigned long long>(double_as_longlong(static_cast<double>(static_cast<unsigned long long>(wide)))), static_cast<unsigned long long>(wide));
        expect_direction("int2float", static_cast<int>(wa), int2float_rd(static_cast<int>(wa)), int2float_ru(static_cast<int>(wa)), int2float_rz(static_cast<int>(wa)));
        const double d = hiloint2double(static_cast<int>((wa & 0x800fffffu) | ((1000 + wa % 60) << 20)), static_cast<int>(wb));
        expect_direction("double2float", d, double2float_rd(d), double2float_ru(d), double2float_rz(d));
    }
    expect("ull2float_rn, largest", float_as_uint(ull2float_rn(~0ull)), float_as_uint(18446744073709551616.0f), 0);
    expect("float2int_rz, too large", static_cast<unsigned>(float2int_rz(3e9f)), 0x7fffffffu, 0);
    expect("float2uint_rz, negative", float2uint_rz(-1.0f), 0, 0);
    expect("double2ll_rn, too small", static_cast<unsigned long long>(double2ll_rn(-1e30)), 1ull << 63, 0);
    expect("saturatef, NaN", float_as_uint(saturatef(NAN)), 0, 0);
}

}  // namespace

int main() {
    simd_in_a_word();
    dpx();
    dot_products();
    lanes_of_shuffles();
    fp8();
    float16_types();
    directions();
    if (failures > 0) std::printf("%d results differ\n", failures);
    return failures > 0 ? 1 : 0;
}

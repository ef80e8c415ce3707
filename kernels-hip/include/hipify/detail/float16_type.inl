// One 16-bit floating-point type and its pair, with the members and operators that CUDA gives them.
// Source: CUDA Math API, "__half", "__half2", "__nv_bfloat16", "__nv_bfloat162".
//
// Included once per type, with these macros defined:
//   HIPIFY_T, HIPIFY_T2          the names of the type and of the pair
//   HIPIFY_RAW, HIPIFY_RAW2      the names of CUDA's plain structures with the same bits
// and, in `detail`, for `struct HIPIFY_T`'s format: `HIPIFY_FORMAT::widen(bits)`, `::narrow(float)`.
//
// Knows: CUDA's interface. Must not know: how the format computes.

struct HIPIFY_RAW {
    unsigned short x;
};

struct HIPIFY_RAW2 {
    unsigned short x;
    unsigned short y;
};

struct HIPIFY_T {
  protected:
    unsigned short __x;

  public:
    HIPIFY_T() = default;
    HIPIFY_FN constexpr HIPIFY_T(HIPIFY_RAW raw) : __x(raw.x) {}

    // Every arithmetic type rounds once, to nearest, ties to even. An integer of up to 24 bits is an exact float, and
    // wider ones are rounded to odd on the way.
    HIPIFY_FN HIPIFY_T(float value) : __x(HIPIFY_FORMAT::narrow(value)) {}
    HIPIFY_FN HIPIFY_T(double value) : __x(HIPIFY_FORMAT::narrow(detail::round_to_odd(value))) {}
    HIPIFY_FN HIPIFY_T(short value) : HIPIFY_T(static_cast<float>(value)) {}
    HIPIFY_FN HIPIFY_T(unsigned short value) : HIPIFY_T(static_cast<float>(value)) {}
    HIPIFY_FN HIPIFY_T(int value) : HIPIFY_T(static_cast<double>(value)) {}
    HIPIFY_FN HIPIFY_T(unsigned value) : HIPIFY_T(static_cast<double>(value)) {}
    HIPIFY_FN HIPIFY_T(long long value) : HIPIFY_T(detail::round_to_odd(value)) {}
    HIPIFY_FN HIPIFY_T(unsigned long long value) : HIPIFY_T(detail::round_to_odd(value)) {}
    HIPIFY_FN HIPIFY_T(long value) : HIPIFY_T(static_cast<long long>(value)) {}
    HIPIFY_FN HIPIFY_T(unsigned long value) : HIPIFY_T(static_cast<unsigned long long>(value)) {}

    HIPIFY_FN operator HIPIFY_RAW() const { return HIPIFY_RAW{__x}; }
    HIPIFY_FN operator float() const { return HIPIFY_FORMAT::widen(__x); }
    HIPIFY_FN constexpr operator bool() const { return (__x & 0x7fff) != 0; }

    // Integers are truncated towards zero and clamped to their range.
#define HIPIFY_INTEGER_OPERATOR(INT) \
    HIPIFY_FN operator INT() const { return detail::saturate_integral<INT>(__builtin_truncf(float(*this))); }
    HIPIFY_INTEGER_OPERATOR(char)
    HIPIFY_INTEGER_OPERATOR(signed char)
    HIPIFY_INTEGER_OPERATOR(unsigned char)
    HIPIFY_INTEGER_OPERATOR(short)
    HIPIFY_INTEGER_OPERATOR(unsigned short)
    HIPIFY_INTEGER_OPERATOR(int)
    HIPIFY_INTEGER_OPERATOR(unsigned)
    HIPIFY_INTEGER_OPERATOR(long)
    HIPIFY_INTEGER_OPERATOR(unsigned long)
    HIPIFY_INTEGER_OPERATOR(long long)
    HIPIFY_INTEGER_OPERATOR(unsigned long long)
#undef HIPIFY_INTEGER_OPERATOR
};

struct alignas(4) HIPIFY_T2 {
    HIPIFY_T x;
    HIPIFY_T y;

    HIPIFY_T2() = default;
    HIPIFY_FN constexpr HIPIFY_T2(const HIPIFY_T &low, const HIPIFY_T &high) : x(low), y(high) {}
    HIPIFY_FN constexpr HIPIFY_T2(HIPIFY_RAW2 raw) : x(HIPIFY_RAW{raw.x}), y(HIPIFY_RAW{raw.y}) {}
    HIPIFY_FN operator HIPIFY_RAW2() const { return detail::bits_as<HIPIFY_RAW2>(*this); }
};

static_assert(sizeof(HIPIFY_T) == 2 && sizeof(HIPIFY_T2) == 4, "kernel arguments and buffers hold plain 16-bit numbers");

namespace detail {

HIPIFY_FN unsigned short bits(HIPIFY_T value) { return HIPIFY_RAW(value).x; }
HIPIFY_FN HIPIFY_T HIPIFY_FORMAT::from_bits(unsigned value) {
    return HIPIFY_T(HIPIFY_RAW{static_cast<unsigned short>(value)});
}

}  // namespace detail

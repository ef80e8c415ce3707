// The device functions of `tests/data/intrinsics`, each under the name it has there, as an expression of the operands
// A, B, C (32-bit words) and F, G (floats).
//
// CASES(X) expands X(NAME, EXPRESSION) for the functions of the device header, which compile for the host as well;
// DEVICE_CASES(X) for those that HIP itself supplies.
#pragma once

#include "hipify/hipify.h"

#include "hipify/bf16.h"
#include "hipify/fp16.h"
#include "hipify/fp8.h"

using namespace hipify;

// Operands and results of 16-bit floats are bits.
#define f16(X) ushort_as_half(static_cast<unsigned short>(X))
#define bf16(X) ushort_as_bfloat16(static_cast<unsigned short>(X))
HIPIFY_FN unsigned word(half x) { return half_as_ushort(x); }
HIPIFY_FN unsigned word(bfloat16 x) { return bfloat16_as_ushort(x); }
HIPIFY_FN unsigned word(float x) { return float_as_uint(x); }

#define LANES(X, FUNCTION) X("__" #FUNCTION "2", FUNCTION##2(A, B)) X("__" #FUNCTION "4", FUNCTION##4(A, B))
#define LANES_UNARY(X, FUNCTION) X("__" #FUNCTION "2", FUNCTION##2(A)) X("__" #FUNCTION "4", FUNCTION##4(A))
#define COMPARISON(X, RELATION) LANES(X, vcmp##RELATION) LANES(X, vset##RELATION)

#define UNARY(X, FUNCTION, UNDERSCORES) \
    X(UNDERSCORES #FUNCTION ".f16", word(FUNCTION(f16(A)))) X(UNDERSCORES #FUNCTION ".bf16", word(FUNCTION(bf16(A))))
#define BINARY(X, FUNCTION)                               \
    X("__" #FUNCTION ".f16", word(FUNCTION(f16(A), f16(B)))) \
    X("__" #FUNCTION ".bf16", word(FUNCTION(bf16(A), bf16(B))))
#define RELATION(X, FUNCTION)                                           \
    X("__" #FUNCTION ".f16", unsigned(FUNCTION(f16(A), f16(B))))         \
    X("__" #FUNCTION ".bf16", unsigned(FUNCTION(bf16(A), bf16(B))))
#define CLASS(X, FUNCTION) \
    X("__" #FUNCTION ".f16", unsigned(FUNCTION(f16(A)))) X("__" #FUNCTION ".bf16", unsigned(FUNCTION(bf16(A))))

#define DIRECTED(X, MODE)                                                   \
    X("__float2half_" #MODE, word(float2half_##MODE(F)))                     \
    X("__float2bfloat16_" #MODE, word(float2bfloat16_##MODE(F)))             \
    X("__float2int_" #MODE, unsigned(float2int_##MODE(F)))                   \
    X("__float2uint_" #MODE, float2uint_##MODE(F))                           \
    X("__int2float_" #MODE, word(int2float_##MODE(int(A))))                  \
    X("__uint2float_" #MODE, word(uint2float_##MODE(A)))                     \
    X("__half2int_" #MODE, unsigned(half2int_##MODE(f16(A))))                \
    X("__half2uint_" #MODE, half2uint_##MODE(f16(A)))                        \
    X("__half2short_" #MODE, unsigned(half2short_##MODE(f16(A))))            \
    X("__half2ushort_" #MODE, unsigned(half2ushort_##MODE(f16(A))))          \
    X("__int2half_" #MODE, word(int2half_##MODE(int(A))))                    \
    X("__uint2half_" #MODE, word(uint2half_##MODE(A)))

#define FP8(X, NAME, KIND)                                                                                        \
    X("float_to_fp8." NAME ".satfinite", unsigned(cvt_float_to_fp8(F, SATFINITE, KIND)))                           \
    X("halfraw_to_fp8." NAME ".satfinite", unsigned(cvt_halfraw_to_fp8(f16(A), SATFINITE, KIND)))                  \
    X("bfloat16raw_to_fp8." NAME ".satfinite", unsigned(cvt_bfloat16raw_to_fp8(bf16(A), SATFINITE, KIND)))         \
    X("float_to_fp8." NAME ".nosat", unsigned(cvt_float_to_fp8(F, NOSAT, KIND)))                                   \
    X("halfraw_to_fp8." NAME ".nosat", unsigned(cvt_halfraw_to_fp8(f16(A), NOSAT, KIND)))                          \
    X("bfloat16raw_to_fp8." NAME ".nosat", unsigned(cvt_bfloat16raw_to_fp8(bf16(A), NOSAT, KIND)))                 \
    X("fp8_to_float." NAME, word(half2float(half(cvt_fp8_to_halfraw(static_cast<fp8_storage_t>(A), KIND)))))       \
    X("double_to_fp8." NAME, unsigned(cvt_double_to_fp8(double(F), SATFINITE, KIND)))

#define CASES(X)                                                                                                  \
    LANES(X, vadd) LANES(X, vaddss) LANES(X, vaddus) LANES(X, vsub) LANES(X, vsubss) LANES(X, vsubus)              \
    LANES(X, vavgs) LANES(X, vavgu) LANES(X, vhaddu) LANES(X, vmaxs) LANES(X, vmaxu) LANES(X, vmins)               \
    LANES(X, vminu) LANES(X, vabsdiffs) LANES(X, vabsdiffu) LANES(X, vsads) LANES(X, vsadu)                        \
    LANES_UNARY(X, vabs) LANES_UNARY(X, vabsss) LANES_UNARY(X, vneg) LANES_UNARY(X, vnegss)                        \
    COMPARISON(X, eq) COMPARISON(X, ne) COMPARISON(X, ges) COMPARISON(X, geu) COMPARISON(X, gts)                   \
    COMPARISON(X, gtu) COMPARISON(X, les) COMPARISON(X, leu) COMPARISON(X, lts) COMPARISON(X, ltu)                 \
    X("__dp4a.s32", unsigned(dp4a(int(A), int(B), int(C)))) X("__dp4a.u32", dp4a(A, B, C))                         \
    X("__dp2a_lo.s32", unsigned(dp2a_lo(int(A), int(B), int(C)))) X("__dp2a_lo.u32", dp2a_lo(A, B, C))             \
    X("__dp2a_hi.s32", unsigned(dp2a_hi(int(A), int(B), int(C)))) X("__dp2a_hi.u32", dp2a_hi(A, B, C))             \
    X("__hadd", unsigned(hadd(int(A), int(B)))) X("__uhadd", uhadd(A, B))                                          \
    X("__rhadd", unsigned(rhadd(int(A), int(B)))) X("__urhadd", urhadd(A, B)) X("__sad", sad(int(A), int(B), C))   \
    BINARY(X, hadd) BINARY(X, hsub) BINARY(X, hmul) BINARY(X, hdiv) BINARY(X, hmax) BINARY(X, hmin)                \
    BINARY(X, hmax_nan) BINARY(X, hmin_nan) BINARY(X, hadd_sat) BINARY(X, hmul_sat)                                \
    X("__hfma.f16", word(hfma(f16(A), f16(B), f16(C)))) X("__hfma.bf16", word(hfma(bf16(A), bf16(B), bf16(C))))    \
    UNARY(X, hneg, "__") UNARY(X, habs, "__") UNARY(X, hceil, "") UNARY(X, hfloor, "") UNARY(X, hrint, "")         \
    UNARY(X, htrunc, "") UNARY(X, hsqrt, "") UNARY(X, hrcp, "") UNARY(X, hrsqrt, "") UNARY(X, hexp, "")            \
    UNARY(X, hexp2, "") UNARY(X, hlog, "") UNARY(X, hlog2, "") UNARY(X, hlog10, "") UNARY(X, hsin, "")             \
    UNARY(X, hcos, "")                                                                                             \
    RELATION(X, heq) RELATION(X, hne) RELATION(X, hlt) RELATION(X, hle) RELATION(X, hgt) RELATION(X, hge)          \
    RELATION(X, hequ) RELATION(X, hneu) RELATION(X, hltu) RELATION(X, hleu) RELATION(X, hgtu) RELATION(X, hgeu)    \
    CLASS(X, hisnan) CLASS(X, hisinf)                                                                              \
    DIRECTED(X, rn) DIRECTED(X, rz) DIRECTED(X, ru) DIRECTED(X, rd)                                                \
    X("__half2float", word(half2float(f16(A)))) X("__bfloat162float", word(bfloat162float(bf16(A))))               \
    FP8(X, "e4m3", E4M3) FP8(X, "e5m2", E5M2)                                                                      \
    X("__fdividef", word(fdividef(F, G)))

#define FLOAT_UNARY(X, FUNCTION) X(#FUNCTION, word(FUNCTION(F)))
#define FLOAT_BINARY(X, FUNCTION) X(#FUNCTION, word(FUNCTION(F, G)))

#define DEVICE_CASES(X)                                                                                           \
    X("__byte_perm", __byte_perm(A, B, C)) X("__funnelshift_l", __funnelshift_l(A, B, C))                          \
    X("__funnelshift_lc", __funnelshift_lc(A, B, C)) X("__funnelshift_r", __funnelshift_r(A, B, C))                \
    X("__funnelshift_rc", __funnelshift_rc(A, B, C)) X("__brev", __brev(A)) X("__clz", unsigned(__clz(int(A))))    \
    X("__popc", unsigned(__popc(A))) X("__ffs", unsigned(__ffs(int(A))))                                           \
    X("__mulhi", unsigned(__mulhi(int(A), int(B))))                                                                \
    X("__mul24", unsigned(__mul24(int(A), int(B)))) X("__umulhi", __umulhi(A, B))                                  \
    X("__umul24", __umul24(A, B))                                                    \
    X("__usad", __usad(A, B, C))                                                                                   \
    FLOAT_UNARY(X, erff) FLOAT_UNARY(X, erfcf) FLOAT_UNARY(X, tanhf) FLOAT_UNARY(X, expf) FLOAT_UNARY(X, exp2f)    \
    FLOAT_UNARY(X, expm1f) FLOAT_UNARY(X, logf) FLOAT_UNARY(X, log2f) FLOAT_UNARY(X, log1pf)                       \
    FLOAT_UNARY(X, sinf) FLOAT_UNARY(X, cosf) FLOAT_UNARY(X, rsqrtf) FLOAT_UNARY(X, sqrtf) FLOAT_UNARY(X, cbrtf)   \
    FLOAT_UNARY(X, normcdff) FLOAT_UNARY(X, __expf) FLOAT_UNARY(X, __logf) FLOAT_UNARY(X, __sinf)                  \
    FLOAT_UNARY(X, __cosf) FLOAT_UNARY(X, rcbrtf) FLOAT_UNARY(X, roundf) FLOAT_UNARY(X, rintf)                     \
    FLOAT_UNARY(X, truncf) FLOAT_UNARY(X, ceilf) FLOAT_UNARY(X, floorf) FLOAT_UNARY(X, fabsf)                      \
    FLOAT_BINARY(X, powf) FLOAT_BINARY(X, fmodf) FLOAT_BINARY(X, atan2f) FLOAT_BINARY(X, copysignf)                \
    FLOAT_BINARY(X, fmaxf) FLOAT_BINARY(X, fminf) FLOAT_BINARY(X, hypotf) FLOAT_BINARY(X, __powf)

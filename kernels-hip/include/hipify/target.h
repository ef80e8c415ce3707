// What the code generator's target can do, as the architecture table says it.
//
// Knows: the names and the meaning of the feature macros that `config/arch.toml` defines for each
// architecture and that the build passes to the compiler.
// Must not know: any architecture's name. A header that asks for `__gfx1100__` hides a fact of the table.
//
// Every macro is always defined, to a number, in a device compilation. A forgotten one is an error here and not a
// silently chosen slow path. The host half of a HIP compilation needs none of them.
#pragma once

// Values of the macros that name one of several kinds. The order is the order of `values` in `config/arch.toml`.
#define HIPIFY_DOT4_NONE 0    // no 8-bit dot product
#define HIPIFY_DOT4_SDOT4 1   // V_DOT4_I32_I8: both operands signed
#define HIPIFY_DOT4_SUDOT4 2  // V_DOT4_I32_IU8: signedness chosen per operand
#define HIPIFY_LANES_GCN 0    // DPP quad_perm, ds_swizzle
#define HIPIFY_LANES_RDNA 1   // DPP row_xmask and V_PERMLANEX16 as well
#define HIPIFY_FP8_NONE 0     // no conversion instructions
#define HIPIFY_FP8_FNUZ 1     // conversion instructions whose formats are not CUDA's (bias, NaN, no negative zero)
#define HIPIFY_FP8_OCP 2      // conversion instructions for the OCP formats, which are CUDA's
#define HIPIFY_MMQ_TILE_DEFAULT 0  // quantized.cu's tiles: the largest, four warps
#define HIPIFY_MMQ_TILE_RDNA1 1    // smaller, eight warps
#define HIPIFY_MMQ_TILE_RDNA2 2    // large, eight warps
#define HIPIFY_MMQ_TILE_MIXED 3    // as RDNA2, but RDNA1's for the types that need most registers

#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__
#if !defined(HIPIFY_WAVE_SIZE) || !defined(HIPIFY_DOT4) || !defined(HIPIFY_LANES) || !defined(HIPIFY_FP8) || \
    !defined(HIPIFY_MMQ_TILE)
#error "compile with the feature macros of the target: `hipify-candle build` passes them from config/arch.toml"
#endif
#if HIPIFY_WAVE_SIZE != 32 && HIPIFY_WAVE_SIZE != 64
#error "HIPIFY_WAVE_SIZE is the number of lanes of a wavefront: 32 or 64"
#endif
#endif

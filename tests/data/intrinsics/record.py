"""Writes to standard output a CUDA program that prints what each intrinsic returns on a real GPU, one JSON line each."""
N = 160
u32x2, u32x1, lines = [], [], []
def u(name): lines.append((name, "u32", f"{name}(A,B)", 2))
def u1(name): lines.append((name, "u32", f"{name}(A)", 1))
for w in "24":
    for f in "vadd vaddss vaddus vsub vsubss vsubus vavgs vavgu vhaddu vmaxs vmaxu vmins vminu vabsdiffs vabsdiffu vsads vsadu".split():
        u(f"__{f}{w}")
    for f in "eq ne ges geu gts gtu les leu lts ltu".split():
        u(f"__vcmp{f}{w}"); u(f"__vset{f}{w}")
    for f in "vabs vabsss vneg vnegss".split():
        u1(f"__{f}{w}")
I = lambda n, e, k: lines.append((n, "u32", e, k))
I("__dp4a.s32", "(unsigned)__dp4a((int)A,(int)B,(int)C)", 3)
I("__dp4a.u32", "__dp4a(A,B,C)", 3)
for h in ("lo", "hi"):
    I(f"__dp2a_{h}.s32", f"(unsigned)__dp2a_{h}((int)A,(int)B,(int)C)", 3)
    I(f"__dp2a_{h}.u32", f"__dp2a_{h}(A,B,C)", 3)
I("__byte_perm", "__byte_perm(A,B,C)", 3)
for n in "l lc r rc".split(): I(f"__funnelshift_{n}", f"__funnelshift_{n}(A,B,C)", 3)
for n in "__brev __clz __popc __ffs".split(): I(n, f"(unsigned){n}(A)", 1)
for n in "__mulhi __hadd __rhadd __mul24".split(): I(n, f"(unsigned){n}((int)A,(int)B)", 2)
for n in "__umulhi __uhadd __urhadd __umul24".split(): I(n, f"{n}(A,B)", 2)
I("__sad", "__sad((int)A,(int)B,C)", 3); I("__usad", "__usad(A,B,C)", 3)
# f16 and bf16: operands are the low halves of A, B, C as bits.
def half(ty, conv, back, pre=""):
    h = lambda v: f"{conv}((unsigned short)({v}&0xffff))"
    o = lambda e: f"(unsigned){back}({e})"
    for n in "__hadd __hsub __hmul __hdiv __hmax __hmin __hmax_nan __hmin_nan __hadd_sat __hmul_sat".split():
        lines.append((f"{n}.{ty}", "u32", o(f"{n}({h('A')},{h('B')})"), 2))
    lines.append((f"__hfma.{ty}", "u32", o(f"__hfma({h('A')},{h('B')},{h('C')})"), 3))
    for n in "__hneg __habs hceil hfloor hrint htrunc hsqrt hrcp hrsqrt hexp hexp2 hlog hlog2 hlog10 hsin hcos".split():
        lines.append((f"{n}.{ty}", "u32", o(f"{n}({h('A')})"), 1))
    for n in "__heq __hne __hlt __hle __hgt __hge __hequ __hneu __hltu __hleu __hgtu __hgeu".split():
        lines.append((f"{n}.{ty}", "u32", f"(unsigned){n}({h('A')},{h('B')})", 2))
    for n in "__hisnan __hisinf".split():
        lines.append((f"{n}.{ty}", "u32", f"(unsigned){n}({h('A')})", 1))
half("f16", "__ushort_as_half", "__half_as_ushort")
half("bf16", "__ushort_as_bfloat16", "__bfloat16_as_ushort")
for m in "rn rz ru rd".split():
    lines.append((f"__float2half_{m}", "u32", f"(unsigned)__half_as_ushort(__float2half_{m}(F))", 1))
    lines.append((f"__float2bfloat16_{m}", "u32", f"(unsigned)__bfloat16_as_ushort(__float2bfloat16_{m}(F))", 1))
    lines.append((f"__float2int_{m}", "u32", f"(unsigned)__float2int_{m}(F)", 1))
    lines.append((f"__float2uint_{m}", "u32", f"__float2uint_{m}(F)", 1))
    lines.append((f"__int2float_{m}", "u32", f"__float_as_uint(__int2float_{m}((int)A))", 1))
    lines.append((f"__uint2float_{m}", "u32", f"__float_as_uint(__uint2float_{m}(A))", 1))
    for n in "__half2int __half2uint __half2short __half2ushort".split():
        lines.append((f"{n}_{m}", "u32", f"(unsigned){n}_{m}(__ushort_as_half((unsigned short)(A&0xffff)))", 1))
    for n in "__int2half __uint2half".split():
        lines.append((f"{n}_{m}", "u32", f"(unsigned)__half_as_ushort({n}_{m}(A))", 1))
lines.append(("__half2float", "u32", "__float_as_uint(__half2float(__ushort_as_half((unsigned short)(A&0xffff))))", 1))
lines.append(("__bfloat162float", "u32", "__float_as_uint(__bfloat162float(__ushort_as_bfloat16((unsigned short)(A&0xffff))))", 1))
for k, s in (("e4m3", "__NV_E4M3"), ("e5m2", "__NV_E5M2")):
    for sat in ("SATFINITE", "NOSAT"):
        lines.append((f"float_to_fp8.{k}.{sat.lower()}", "u32", f"(unsigned)__nv_cvt_float_to_fp8(F,__NV_{sat},{s})", 1))
        lines.append((f"halfraw_to_fp8.{k}.{sat.lower()}", "u32", f"(unsigned)__nv_cvt_halfraw_to_fp8((__half_raw)__ushort_as_half((unsigned short)(A&0xffff)),__NV_{sat},{s})", 1))
        lines.append((f"bfloat16raw_to_fp8.{k}.{sat.lower()}", "u32", f"(unsigned)__nv_cvt_bfloat16raw_to_fp8((__nv_bfloat16_raw)__ushort_as_bfloat16((unsigned short)(A&0xffff)),__NV_{sat},{s})", 1))
    lines.append((f"fp8_to_float.{k}", "u32", f"__float_as_uint(__half2float(__half(__nv_cvt_fp8_to_halfraw((__nv_fp8_storage_t)(A&0xff),{s}))))", 1))
    lines.append((f"double_to_fp8.{k}", "u32", f"(unsigned)__nv_cvt_double_to_fp8((double)F,__NV_SATFINITE,{s})", 1))
for n in "erff erfcf tanhf expf exp2f expm1f logf log2f log1pf sinf cosf rsqrtf sqrtf cbrtf normcdff __expf __logf __sinf __cosf rcbrtf roundf rintf truncf ceilf floorf fabsf".split():
    lines.append((n, "f32", f"__float_as_uint({n}(F))", 1))
for n in "powf fmodf atan2f copysignf __fdividef fmaxf fminf hypotf __powf".split():
    lines.append((n, "f32", f"__float_as_uint({n}(F,G))", 2))
print(r'''#include <cstdio>
#include <cstdint>
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#define N %d
__device__ unsigned ia[N], ib[N], ic[N]; __device__ unsigned fa[N], fb[N];
#define LOAD int i=threadIdx.x; unsigned A=ia[i],B=ib[i],C=ic[i]; float F=__uint_as_float(fa[i]),G=__uint_as_float(fb[i]); (void)A;(void)B;(void)C;(void)F;(void)G;
''' % N)
for i, (n, t, e, k) in enumerate(lines):
    print(f"__global__ void k{i}(unsigned*o){{LOAD o[i]={e};}}")
print(r'''
static uint64_t s=20261122; static unsigned rnd(){s+=0x9e3779b97f4a7c15ull;uint64_t z=s;z=(z^(z>>30))*0xbf58476d1ce4e5b9ull;z=(z^(z>>27))*0x94d049bb133111ebull;return (unsigned)(z^(z>>31));}
static unsigned*d; static void dump(const char*n,const char*t,int k){static unsigned h[N];cudaError_t e=cudaDeviceSynchronize();if(e){fprintf(stderr,"%s: %s\n",n,cudaGetErrorString(e));return;}
 cudaMemcpy(h,d,sizeof h,cudaMemcpyDeviceToHost);printf("{\"name\":\"%s\",\"type\":\"%s\",\"operands\":%d,\"out\":\"",n,t,k);for(int i=0;i<N;i++)printf("%08x",h[i]);printf("\"}\n");}
static void in(const char*n,unsigned*h){printf("{\"input\":\"%s\",\"values\":\"",n);for(int i=0;i<N;i++)printf("%08x",h[i]);printf("\"}\n");}
int main(){static unsigned a[N],b[N],c[N],f[N],g[N];
 const unsigned e[]={0,0xffffffff,0x80808080,0x7f7f7f7f,0x80008000,0x7fff7fff,0x00010001,0x80000000,0x7fffffff,0x00ff00ff,0x7c007c00,0xfc00fc00,0x7e007e00,0x3c003c00,0x7bff7bff,0x04000400,0x03ff03ff,0x7f807f80,0xff80ff80,0x7fc07fc0,0x00800080,0x0001ffff,0x8000ffff,0x00007fff};
 const unsigned ef[]={0,0x80000000,0x3f800000,0xbf800000,0x7f800000,0xff800000,0x7fc00000,0x00000001,0x007fffff,0x00800000,0x7f7fffff,0xff7fffff,0x3f000000,0x40000000,0x477fe000,0x477ff000,0x477fefff,0x33000000,0x33000001,0x38800000,0x387fc000,0x4f000000,0x4effffff,0xcf000000,0x4f800000,0x43e00000,0x43e80000,0x43f00000,0x47600000,0x47700000,0x3b000000,0x3a800000,0x3a000000,0x3c800000,0x37800000,0x3f7fffff,0x3f808000,0x3f818000,0x40490fdb,0xc2aeac50};
 int ne=sizeof e/4,nf=sizeof ef/4;
 for(int i=0;i<N;i++){a[i]=i<ne?e[i]:rnd();b[i]=i<ne?e[(i*7+3)%ne]:i<2*ne?e[i-ne]:rnd();c[i]=i<ne?e[(i*5+1)%ne]:rnd();
  unsigned r=rnd();f[i]=i<nf?ef[i]:i<nf+24?(r&0x80ffffff)|0x3f000000:i<nf+56?((r&0x807fffff)|((100+r%56)<<23)):r;r=rnd();g[i]=i<nf?ef[(i*11+2)%nf]:i<nf+56?((r&0x807fffff)|((120+r%12)<<23)):r;}
 cudaMemcpyToSymbol(ia,a,sizeof a);cudaMemcpyToSymbol(ib,b,sizeof b);cudaMemcpyToSymbol(ic,c,sizeof c);cudaMemcpyToSymbol(fa,f,sizeof f);cudaMemcpyToSymbol(fb,g,sizeof g);
 cudaMalloc(&d,N*4);in("A",a);in("B",b);in("C",c);in("F",f);in("G",g);''')
for i, (n, t, e, k) in enumerate(lines):
    print(f' k{i}<<<1,N>>>(d);dump("{n}","{t}",{k});')
print(" return 0;}")

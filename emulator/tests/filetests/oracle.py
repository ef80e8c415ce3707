"""Writes the instruction file tests of this folder.

The expected results are worked out here, in exact arithmetic, from the definitions in AMD's public ISA manuals; no
emulator and no GPU takes part. The files are what the tests read: this program is needed only to add cases.

    python3 oracle.py        (rewrites *.txt beside it)
"""
import itertools
import os
import random
from fractions import Fraction

M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
GFX9, GFX10, GFX11, GFX12 = "gfx9", "gfx10", "gfx11", "gfx12"
ALL = [GFX9, GFX10, GFX11, GFX12]
NEW = [GFX11, GFX12]
random.seed(20261122)


def s(v, bits):
    v &= (1 << bits) - 1
    return v - (1 << bits) if v >> (bits - 1) else v


def u(v, bits=32):
    return v & ((1 << bits) - 1)


def clamp(v, lo, hi):
    return max(lo, min(hi, v))


# --- floats: a value is 'nan', '+inf', '-inf', '-0', or a Fraction ---
class Fmt:
    def __init__(self, bits, ebits):
        self.bits, self.ebits, self.mbits = bits, ebits, bits - 1 - ebits
        self.bias = (1 << (ebits - 1)) - 1
        self.emax = (1 << ebits) - 1
        self.nan, self.inf = "qnan%d" % bits, self.emax << self.mbits
        self.sign = 1 << (bits - 1)

    def dec(self, w):
        w &= (1 << self.bits) - 1
        neg, e, m = w >> (self.bits - 1), (w >> self.mbits) & self.emax, w & ((1 << self.mbits) - 1)
        if e == self.emax:
            return "nan" if m else ("-inf" if neg else "+inf")
        v = Fraction(m, 1 << self.mbits) * Fraction(2) ** (1 - self.bias) if e == 0 else \
            (1 + Fraction(m, 1 << self.mbits)) * Fraction(2) ** (e - self.bias)
        if neg:
            return "-0" if v == 0 else -v
        return v

    def enc(self, v, mode="rne"):
        if v == "nan":
            return self.nan
        if v == "+inf":
            return self.inf
        if v == "-inf":
            return self.inf | self.sign
        if v == "-0":
            return self.sign
        if v == 0:
            return 0
        neg, a = v < 0, abs(v)
        e = a.numerator.bit_length() - a.denominator.bit_length()
        if Fraction(2) ** e > a:
            e -= 1
        e = max(e, 1 - self.bias)
        q = a / Fraction(2) ** (e - self.mbits)
        n = q.numerator // q.denominator
        rem = q - n
        if mode == "rne":
            n += rem > Fraction(1, 2) or (rem == Fraction(1, 2) and n & 1)
        elif mode == "rtz":
            pass
        elif mode == "rup":
            n += rem > 0 and not neg
        elif mode == "rdn":
            n += rem > 0 and neg
        if n >> (self.mbits + 1):
            n, e = n >> 1, e + 1
        if e > self.bias:
            big = self.inf if mode == "rne" or (mode == "rup" and not neg) or (mode == "rdn" and neg) else self.inf - 1
            return big | (self.sign if neg else 0)
        w = n if e == 1 - self.bias and n < (1 << self.mbits) else ((e + self.bias) << self.mbits) | (n & ((1 << self.mbits) - 1))
        return w | (self.sign if neg else 0)


H, F, D, B = Fmt(16, 5), Fmt(32, 8), Fmt(64, 11), Fmt(16, 8)


def isneg(v):
    return v in ("-inf", "-0") or (isinstance(v, Fraction) and v < 0)


def num(v):
    return Fraction(0) if v == "-0" else v


def isnum(v):
    return isinstance(v, Fraction) or v == "-0"


def fneg(v):
    t = {"nan": "nan", "+inf": "-inf", "-inf": "+inf", "-0": Fraction(0)}
    if isinstance(v, str):
        return t[v]
    return "-0" if v == 0 else -v


def fadd(a, b):
    if "nan" in (a, b):
        return "nan"
    if not isnum(a) or not isnum(b):
        if not isnum(a) and not isnum(b):
            return a if a == b else "nan"
        return b if isnum(a) else a
    if a == "-0" and b == "-0":
        return "-0"
    return num(a) + num(b)


def fmul(a, b):
    if "nan" in (a, b):
        return "nan"
    neg = isneg(a) != isneg(b)
    if not isnum(a) or not isnum(b):
        if (isnum(a) and num(a) == 0) or (isnum(b) and num(b) == 0):
            return "nan"
        return "-inf" if neg else "+inf"
    r = num(a) * num(b)
    return "-0" if r == 0 and neg else r


def ffma(a, b, c):
    p = fmul(a, b)
    return fadd(p, c)


def order(v):
    """A key that orders all numbers, -0 below +0."""
    if v == "+inf":
        return (1, 0, 0)
    if v == "-inf":
        return (-1, 0, 0)
    return (0, num(v), 0 if v == "-0" else 1)


def fmin(a, b):
    if a == "nan":
        return b
    if b == "nan":
        return a
    return a if order(a) <= order(b) else b


def fmax(a, b):
    if a == "nan":
        return b
    if b == "nan":
        return a
    return a if order(a) >= order(b) else b


def to_int(v, lo, hi, how="rtz"):
    if v == "nan":
        return 0
    if not isnum(v):
        return lo if v == "-inf" else hi
    return clamp(rnd(num(v), how), lo, hi)


def rnd(x, how):
    n = x.numerator // x.denominator
    if how == "floor":
        return n
    if how == "ceil":
        return -((-x).numerator // (-x).denominator)
    if how == "rtz":
        return n if x >= 0 else -((-x).numerator // (-x).denominator)
    if how == "half_up":
        return rnd(x + Fraction(1, 2), "floor")
    r = x - n
    return n + (1 if r > Fraction(1, 2) or (r == Fraction(1, 2) and n & 1) else 0)


def integral(v, how):
    if not isnum(v) or v == "-0":
        return v
    r = Fraction(rnd(v, how))
    return "-0" if r == 0 and v < 0 else r


# --- operand sets ---
I32 = [0, 1, 2, 31, 32, 33, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x00FFFFFF, 0x01000000, 0x7FFFFFFF, 0x80000000,
       0x80000001, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFF8000, 0xDEADBEEF, 0x01020304, 0x80FF7F01]
I16 = [0, 1, 2, 15, 16, 17, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0xFFFE, 0x1234, 0xBEEF]
I64 = [0, 1, 63, 64, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, M64, 0x0123456789ABCDEF,
       0xFEDCBA9876543210, 0xFFFFFFFF00000000]
F32 = [0, 0x80000000, 0x3F800000, 0xBF800000, 0x3F000000, 0x40490FDB, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 1, 0x80000001,
       0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x4B000001, 0x4EFFFFFF, 0x4F000000, 0xCF000000, 0x4F800000, 0x3FC00000,
       0x40200000, 0xC0200000, 0x33800000, 0x477FE000, 0x477FF000, 0x38800000, 0x33000000, 0x5F000000]
F16 = [0, 0x8000, 0x3C00, 0xBC00, 0x3800, 0x4248, 0x7C00, 0xFC00, 0x7E00, 0x7C01, 1, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x6400,
       0x6401, 0x3E00, 0x4100, 0xC100, 0x5640, 0x1400]
F64 = [0, 1 << 63, 0x3FF0000000000000, 0xBFF0000000000000, 0x3FE0000000000000, 0x400921FB54442D18, 0x7FF0000000000000, 0xFFF0000000000000,
       0x7FF8000000000000, 1, 0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF, 0x41DFFFFFFFC00000, 0x41E0000000000000,
       0xC1E0000000000000, 0x41F0000000000000, 0x3FF8000000000000, 0x4004000000000000, 0xC004000000000000, 0x36A0000000000000,
       0x47EFFFFFE0000000, 0x47EFFFFFF0000000, 0x380FFFFFC0000000]
SETS = {"i32": (I32, 32), "i16": (I16, 16), "i64": (I64, 64), "f32": (F32, 32), "f16": (F16, 16), "f64": (F64, 64)}
LIMIT = 64


def tuples(kinds):
    """Up to LIMIT operand tuples: all of them where they fit, otherwise a spread that uses every edge value and random ones."""
    sets = [SETS[k][0] for k in kinds]
    total = 1
    for x in sets:
        total *= len(x)
    if total <= LIMIT:
        return list(itertools.product(*sets))
    out, seen = [], set()
    for i in range(max(len(x) for x in sets)):
        for shift in (0, 1, 5, 11):
            t = tuple(x[(i + shift * j * j + j * (i // len(x))) % len(x)] for j, x in enumerate(sets))
            if t not in seen and len(out) < LIMIT - 12:
                seen.add(t)
                out.append(t)
    while len(out) < LIMIT:
        out.append(tuple(random.getrandbits(SETS[k][1]) if k[0] == "i" or random.random() < .3 else random.choice(SETS[k][0]) for k in kinds))
    return out


class Case:
    """One operation: its spelling per family, operand kinds, result kind, meaning, and extra fixed operands."""


FILES = {}


def words(v, bits):
    """Result or operand as 32-bit columns, low word first."""
    if isinstance(v, str):
        if v.startswith("qnan64"):
            return ["*", "qnan64"]
        return [v]
    if bits == 64:
        return ["%08x" % (v & M32), "%08x" % ((v >> 32) & M32)]
    return ["%08x" % (v & M32)]


def op(file, name, spell, ins, outs, fn, fam=None, data=None, scalar=False):
    """ins: [(register text, kind)], outs: [(register text, bits)]; fn(*operands) -> result or tuple.

    A register text is a VGPR (`v0`, `v[0:1]`), an SGPR (`s20`, `s[20:21]`), `vcc` (a bit a lane) or `scc`.
    spell: a string for every family in `fam`, or a dict family -> string; families absent there lack the operation.
    fn may take `fam` as keyword when the result differs by family (then the cases are written once a family).
    """
    if isinstance(spell, str):
        spell = {f: spell for f in (fam or ALL)}
    FILES.setdefault(file, []).append((name, spell, ins, outs, fn, data, scalar))


def write():
    here = os.path.dirname(os.path.abspath(__file__))
    for file, ops in FILES.items():
        out = ["# " + file[0], "# Columns are 32-bit words in hexadecimal, low word first; `qnan16|32|64`: any quiet NaN (16: whatever the high half), `0qnan16`: with the high half clear; `*`: any word.", ""]
        for name, spell, ins, outs, fn, data, scalar in ops:
            byfam = "fam" in fn.__code__.co_varnames[:fn.__code__.co_argcount + fn.__code__.co_kwonlyargcount]
            groups = [[f] for f in spell] if byfam else [list(spell)]
            kinds = [k for _, k in ins]
            rows = data if data is not None else tuples(kinds)
            for g in groups:
                out.append("[%s]%s" % (name, " scalar" if scalar else ""))
                texts = {}
                for f in g:
                    texts.setdefault(spell[f], []).append(f)
                for t, fs in texts.items():
                    out.append("%s: %s" % (" ".join(fs), t))
                out.append("in " + " ".join(r for r, _ in ins))
                out.append("out " + " ".join(r for r, _ in outs))
                for row in rows:
                    res = fn(*row, fam=g[0]) if byfam else fn(*row)
                    res = res if isinstance(res, tuple) else (res,)
                    cols = [w for v, (_, k) in zip(row, ins) for w in words(v, SETS[k][1] if k in SETS else 32)]
                    want = [w for v, (_, b) in zip(res, outs) for w in words(v if isinstance(v, str) else int(v) & ((1 << b) - 1), b)]
                    out.append(" ".join(cols) + " | " + " ".join(want))
                out.append("")
        with open(os.path.join(here, file[1]), "w") as f:
            f.write("\n".join(out))


# ---------------------------------------------------------------- integer VALU
INT = ("Integer vector operations: 32 and 64 bits.", "valu_int.txt")
V = lambda *k: [("v%d" % i, x) for i, x in enumerate(k)]
O = [("v8", 32)]


def i2(name, spell, fn, fam=None):
    op(INT, name, spell, V("i32", "i32"), O, fn, fam)


def i3(name, spell, fn, fam=None):
    op(INT, name, spell, V("i32", "i32", "i32"), O, fn, fam)


def nc(base, args):
    return {GFX9: f"v_{base}_e32 {args}", **{f: f"v_{base.replace('_', '_nc_', 1)}_e32 {args}" for f in (GFX10, GFX11, GFX12)}}


i2("add_u32", nc("add_u32", "v8, v0, v1"), lambda a, b: u(a + b))
i2("sub_u32", nc("sub_u32", "v8, v0, v1"), lambda a, b: u(a - b))
i2("subrev_u32", nc("subrev_u32", "v8, v0, v1"), lambda a, b: u(b - a))
i2("add_u32_clamp", {GFX9: "v_add_u32_e64 v8, v0, v1 clamp", **{f: "v_add_nc_u32_e64 v8, v0, v1 clamp" for f in ALL[1:]}}, lambda a, b: min(a + b, M32))
i2("sub_u32_clamp", {GFX9: "v_sub_u32_e64 v8, v0, v1 clamp", **{f: "v_sub_nc_u32_e64 v8, v0, v1 clamp" for f in ALL[1:]}}, lambda a, b: max(a - b, 0))
i2("add_i32_clamp", {GFX9: "v_add_i32 v8, v0, v1 clamp", **{f: "v_add_nc_i32 v8, v0, v1 clamp" for f in ALL[1:]}},
   lambda a, b: u(clamp(s(a, 32) + s(b, 32), -2**31, 2**31 - 1)))
i2("sub_i32_clamp", {GFX9: "v_sub_i32 v8, v0, v1 clamp", **{f: "v_sub_nc_i32 v8, v0, v1 clamp" for f in ALL[1:]}},
   lambda a, b: u(clamp(s(a, 32) - s(b, 32), -2**31, 2**31 - 1)))
i2("mul_lo_u32", "v_mul_lo_u32 v8, v0, v1", lambda a, b: u(a * b))
i2("mul_hi_u32", "v_mul_hi_u32 v8, v0, v1", lambda a, b: (a * b) >> 32)
i2("mul_hi_i32", "v_mul_hi_i32 v8, v0, v1", lambda a, b: u((s(a, 32) * s(b, 32)) >> 32))
i2("mul_u32_u24", "v_mul_u32_u24_e32 v8, v0, v1", lambda a, b: u((a & 0xFFFFFF) * (b & 0xFFFFFF)))
i2("mul_i32_i24", "v_mul_i32_i24_e32 v8, v0, v1", lambda a, b: u(s(a, 24) * s(b, 24)))
i2("mul_hi_u32_u24", "v_mul_hi_u32_u24_e32 v8, v0, v1", lambda a, b: ((a & 0xFFFFFF) * (b & 0xFFFFFF)) >> 32)
i2("mul_hi_i32_i24", "v_mul_hi_i32_i24_e32 v8, v0, v1", lambda a, b: u((s(a, 24) * s(b, 24)) >> 32))
i3("mad_u32_u24", "v_mad_u32_u24 v8, v0, v1, v2", lambda a, b, c: u((a & 0xFFFFFF) * (b & 0xFFFFFF) + c))
i3("mad_i32_i24", "v_mad_i32_i24 v8, v0, v1, v2", lambda a, b, c: u(s(a, 24) * s(b, 24) + c))
for n, f in (("and", lambda a, b: a & b), ("or", lambda a, b: a | b), ("xor", lambda a, b: a ^ b)):
    i2(n + "_b32", f"v_{n}_b32_e32 v8, v0, v1", f)
i2("xnor_b32", {**{f: "v_xnor_b32_e32 v8, v0, v1" for f in ALL[1:]}}, lambda a, b: u(~(a ^ b)))
op(INT, "not_b32", "v_not_b32_e32 v8, v0", V("i32"), O, lambda a: u(~a))
i2("lshlrev_b32", "v_lshlrev_b32_e32 v8, v0, v1", lambda a, b: u(b << (a & 31)))
i2("lshrrev_b32", "v_lshrrev_b32_e32 v8, v0, v1", lambda a, b: b >> (a & 31))
i2("ashrrev_i32", "v_ashrrev_i32_e32 v8, v0, v1", lambda a, b: u(s(b, 32) >> (a & 31)))
i3("lshl_add_u32", "v_lshl_add_u32 v8, v0, v1, v2", lambda a, b, c: u((a << (b & 31)) + c))
i3("add_lshl_u32", "v_add_lshl_u32 v8, v0, v1, v2", lambda a, b, c: u(u(a + b) << (c & 31)))
i3("lshl_or_b32", "v_lshl_or_b32 v8, v0, v1, v2", lambda a, b, c: u(a << (b & 31)) | c)
i3("and_or_b32", "v_and_or_b32 v8, v0, v1, v2", lambda a, b, c: a & b | c)
i3("or3_b32", "v_or3_b32 v8, v0, v1, v2", lambda a, b, c: a | b | c)
i3("xor3_b32", "v_xor3_b32 v8, v0, v1, v2", lambda a, b, c: a ^ b ^ c, ALL[1:])
i3("xad_u32", "v_xad_u32 v8, v0, v1, v2", lambda a, b, c: u((a ^ b) + c))
i3("add3_u32", "v_add3_u32 v8, v0, v1, v2", lambda a, b, c: u(a + b + c))
i3("bfe_u32", "v_bfe_u32 v8, v0, v1, v2", lambda a, b, c: (a >> (b & 31)) & ((1 << (c & 31)) - 1))


def bfe_i32(a, b, c):
    o, w = b & 31, c & 31
    return u(s(a >> o, w)) if w and o + w < 32 else (u(s(a, 32) >> o) if w else 0)


i3("bfe_i32", "v_bfe_i32 v8, v0, v1, v2", bfe_i32)
i3("bfi_b32", "v_bfi_b32 v8, v0, v1, v2", lambda a, b, c: (a & b) | (~a & c))
i3("alignbit_b32", "v_alignbit_b32 v8, v0, v1, v2", lambda a, b, c: u(((a << 32) | b) >> (c & 31)))
i3("alignbyte_b32", "v_alignbyte_b32 v8, v0, v1, v2", lambda a, b, c: u(((a << 32) | b) >> (8 * (c & 3))))


def perm(a, b, c):
    src, r = (a << 32) | b, 0
    for i in range(4):
        k = (c >> (8 * i)) & 0xFF
        if k >= 13:
            x = 0xFF
        elif k == 12:
            x = 0
        elif k >= 8:
            x = 0xFF if (src >> (16 * (k - 8) + 15)) & 1 else 0
        else:
            x = (src >> (8 * k)) & 0xFF
        r |= x << (8 * i)
    return r


op(INT, "perm_b32", "v_perm_b32 v8, v0, v1, v2", V("i32", "i32", "i32"), O, perm,
   data=[(random.getrandbits(32), random.getrandbits(32), c) for c in
         (0x03020100, 0x07060504, 0x0C0D0E0F, 0x08090A0B, 0x00040105, 0x0D0C0B0A, 0xFF80400C, 0x01010101) for _ in range(3)])
op(INT, "bfrev_b32", "v_bfrev_b32_e32 v8, v0", V("i32"), O, lambda a: int("{:032b}".format(a)[::-1], 2))
op(INT, "clz_u32", {GFX9: "v_ffbh_u32_e32 v8, v0", GFX10: "v_ffbh_u32_e32 v8, v0", GFX11: "v_clz_i32_u32_e32 v8, v0", GFX12: "v_clz_i32_u32_e32 v8, v0"},
   V("i32"), O, lambda a: 32 - a.bit_length() if a else M32)
op(INT, "ctz_b32", {GFX9: "v_ffbl_b32_e32 v8, v0", GFX10: "v_ffbl_b32_e32 v8, v0", GFX11: "v_ctz_i32_b32_e32 v8, v0", GFX12: "v_ctz_i32_b32_e32 v8, v0"},
   V("i32"), O, lambda a: (a & -a).bit_length() - 1 if a else M32)


def cls(a):
    b = a ^ (M32 if a >> 31 else 0)
    return 32 - b.bit_length() if b else M32


op(INT, "cls_i32", {GFX9: "v_ffbh_i32_e32 v8, v0", GFX10: "v_ffbh_i32_e32 v8, v0", GFX11: "v_cls_i32_e32 v8, v0", GFX12: "v_cls_i32_e32 v8, v0"}, V("i32"), O, cls)
i2("bcnt_u32_b32", "v_bcnt_u32_b32 v8, v0, v1", lambda a, b: u(bin(a).count("1") + b))
for t, k in (("i", lambda x: s(x, 32)), ("u", lambda x: x)):
    i2(f"min_{t}32", f"v_min_{t}32_e32 v8, v0, v1", lambda a, b, k=k: min(a, b, key=k))
    i2(f"max_{t}32", f"v_max_{t}32_e32 v8, v0, v1", lambda a, b, k=k: max(a, b, key=k))
    i3(f"min3_{t}32", f"v_min3_{t}32 v8, v0, v1, v2", lambda a, b, c, k=k: min(a, b, c, key=k))
    i3(f"max3_{t}32", f"v_max3_{t}32 v8, v0, v1, v2", lambda a, b, c, k=k: max(a, b, c, key=k))
    i3(f"med3_{t}32", f"v_med3_{t}32 v8, v0, v1, v2", lambda a, b, c, k=k: sorted((a, b, c), key=k)[1])
i3("sad_u32", "v_sad_u32 v8, v0, v1, v2", lambda a, b, c: u(abs(a - b) + c))
by = lambda x, i: (x >> (8 * i)) & 0xFF
i3("sad_u8", "v_sad_u8 v8, v0, v1, v2", lambda a, b, c: u(sum(abs(by(a, i) - by(b, i)) for i in range(4)) + c))
i3("sad_hi_u8", "v_sad_hi_u8 v8, v0, v1, v2", lambda a, b, c: u((sum(abs(by(a, i) - by(b, i)) for i in range(4)) << 16) + c))
i3("sad_u16", "v_sad_u16 v8, v0, v1, v2", lambda a, b, c: u(sum(abs(((a >> h) & 0xFFFF) - ((b >> h) & 0xFFFF)) for h in (0, 16)) + c))
i3("msad_u8", "v_msad_u8 v8, v0, v1, v2", lambda a, b, c: u(sum(abs(by(a, i) - by(b, i)) for i in range(4) if by(b, i)) + c))
i3("lerp_u8", "v_lerp_u8 v8, v0, v1, v2", lambda a, b, c: sum(((by(a, i) + by(b, i) + (by(c, i) & 1)) >> 1) << (8 * i) for i in range(4)))
W64 = [("v[8:9]", 64)]
op(INT, "lshlrev_b64", {GFX9: "v_lshlrev_b64 v[8:9], v0, v[2:3]", GFX10: "v_lshlrev_b64 v[8:9], v0, v[2:3]", GFX11: "v_lshlrev_b64 v[8:9], v0, v[2:3]",
                        GFX12: "v_lshlrev_b64_e64 v[8:9], v0, v[2:3]"}, [("v0", "i32"), ("v[2:3]", "i64")], W64, lambda a, b: u(b << (a & 63), 64))
op(INT, "lshrrev_b64", "v_lshrrev_b64 v[8:9], v0, v[2:3]", [("v0", "i32"), ("v[2:3]", "i64")], W64, lambda a, b: b >> (a & 63))
op(INT, "ashrrev_i64", "v_ashrrev_i64 v[8:9], v0, v[2:3]", [("v0", "i32"), ("v[2:3]", "i64")], W64, lambda a, b: u(s(b, 64) >> (a & 63), 64))
MAD = [("v0", "i32"), ("v1", "i32"), ("v[2:3]", "i64")]
op(INT, "mad_u64_u32", {GFX9: "v_mad_u64_u32 v[8:9], vcc, v0, v1, v[2:3]", GFX10: "v_mad_u64_u32 v[8:9], vcc_lo, v0, v1, v[2:3]",
                        GFX11: "v_mad_u64_u32 v[8:9], vcc_lo, v0, v1, v[2:3]", GFX12: "v_mad_co_u64_u32 v[8:9], vcc_lo, v0, v1, v[2:3]"},
   MAD, W64 + [("vcc", 32)], lambda a, b, c: (u(a * b + c, 64), (a * b + c) >> 64))
op(INT, "mad_i64_i32", {GFX9: "v_mad_i64_i32 v[8:9], vcc, v0, v1, v[2:3]", GFX10: "v_mad_i64_i32 v[8:9], vcc_lo, v0, v1, v[2:3]",
                        GFX11: "v_mad_i64_i32 v[8:9], vcc_lo, v0, v1, v[2:3]", GFX12: "v_mad_co_i64_i32 v[8:9], vcc_lo, v0, v1, v[2:3]"},
   MAD, W64, lambda a, b, c: u(s(a, 32) * s(b, 32) + c, 64))
co = lambda g9, rest: {GFX9: g9, **{f: rest for f in ALL[1:]}}
op(INT, "add_co_u32", co("v_add_co_u32_e32 v8, vcc, v0, v1", "v_add_co_u32 v8, vcc_lo, v0, v1"), V("i32", "i32"), O + [("vcc", 32)], lambda a, b: (u(a + b), (a + b) >> 32))
op(INT, "sub_co_u32", co("v_sub_co_u32_e32 v8, vcc, v0, v1", "v_sub_co_u32 v8, vcc_lo, v0, v1"), V("i32", "i32"), O + [("vcc", 32)], lambda a, b: (u(a - b), a < b))
op(INT, "subrev_co_u32", co("v_subrev_co_u32_e32 v8, vcc, v0, v1", "v_subrev_co_u32 v8, vcc_lo, v0, v1"), V("i32", "i32"), O + [("vcc", 32)], lambda a, b: (u(b - a), b < a))
CI = V("i32", "i32") + [("vcc", "bit")]
cdata = [(a, b, c) for a, b in tuples(["i32", "i32"])[:32] for c in (0, 1)]
op(INT, "addc_co_u32", co("v_addc_co_u32_e32 v8, vcc, v0, v1, vcc", "v_add_co_ci_u32_e32 v8, vcc_lo, v0, v1, vcc_lo"), CI, O + [("vcc", 32)],
   lambda a, b, c: (u(a + b + c), (a + b + c) >> 32), data=cdata)
op(INT, "subb_co_u32", co("v_subb_co_u32_e32 v8, vcc, v0, v1, vcc", "v_sub_co_ci_u32_e32 v8, vcc_lo, v0, v1, vcc_lo"), CI, O + [("vcc", 32)],
   lambda a, b, c: (u(a - b - c), a - b - c < 0), data=cdata)
op(INT, "subbrev_co_u32", co("v_subbrev_co_u32_e32 v8, vcc, v0, v1, vcc", "v_subrev_co_ci_u32_e32 v8, vcc_lo, v0, v1, vcc_lo"), CI, O + [("vcc", 32)],
   lambda a, b, c: (u(b - a - c), b - a - c < 0), data=cdata)
op(INT, "cndmask_b32", co("v_cndmask_b32_e32 v8, v0, v1, vcc", "v_cndmask_b32_e32 v8, v0, v1, vcc_lo"), CI, O, lambda a, b, c: b if c else a, data=cdata)
op(INT, "cvt_pk_u16_u32", "v_cvt_pk_u16_u32 v8, v0, v1", V("i32", "i32"), O, lambda a, b: min(a, 0xFFFF) | min(b, 0xFFFF) << 16)
op(INT, "cvt_pk_i16_i32", "v_cvt_pk_i16_i32 v8, v0, v1", V("i32", "i32"), O,
   lambda a, b: u(clamp(s(a, 32), -32768, 32767), 16) | u(clamp(s(b, 32), -32768, 32767), 16) << 16)

# ---------------------------------------------------------------- 16-bit and packed integers, dot products
P16 = ("16-bit and packed integer operations, integer dot products.", "valu_int16.txt")


def k16(name, spell, n, fn, fam=None, preserve9=False):
    """A 16-bit operation: v8 holds a pattern before; GFX9 clears the high half (save the three-operand ones), later families keep it."""
    def run(old, *a, fam):
        keep = fam != GFX9 or preserve9
        return (old & 0xFFFF0000 if keep else 0) | u(fn(*a), 16)
    ins = [("v8", "i32")] + V(*["i16"] * n)
    rows = [(random.getrandbits(32) | 0x10000,) + t for t in tuples(["i16"] * n)]
    op(P16, name, spell, ins, O, run, fam, data=rows)


def sp16(base, n, e32=True):
    args = "v8, " + ", ".join(f"v{i}" for i in range(n))
    g9 = f"v_{base}{'_e32' if e32 else ''} {args}"
    return g9, args


def two16(base, fn, g10=None, g11=None):
    a = "v8, v0, v1"
    k16(base, {GFX9: f"v_{base}_e32 {a}", GFX10: f"v_{g10 or base} {a}", GFX11: f"v_{g11 or g10 or base} {a}", GFX12: f"v_{g11 or g10 or base} {a}"}, 2, fn)


two16("add_u16", lambda a, b: a + b, "add_nc_u16")
two16("sub_u16", lambda a, b: a - b, "sub_nc_u16")
two16("mul_lo_u16", lambda a, b: a * b)
two16("lshlrev_b16", lambda a, b: b << (a & 15))
two16("lshrrev_b16", lambda a, b: b >> (a & 15))
two16("ashrrev_i16", lambda a, b: s(b, 16) >> (a & 15))
for t, k in (("i", lambda x: s(x, 16)), ("u", lambda x: x)):
    two16(f"min_{t}16", lambda a, b, k=k: min(a, b, key=k))
    two16(f"max_{t}16", lambda a, b, k=k: max(a, b, key=k))
    for n, f in (("min3", lambda k: lambda a, b, c: min(a, b, c, key=k)), ("max3", lambda k: lambda a, b, c: max(a, b, c, key=k)),
                 ("med3", lambda k: lambda a, b, c: sorted((a, b, c), key=k)[1])):
        k16(f"{n}_{t}16", f"v_{n}_{t}16 v8, v0, v1, v2", 3, f(k), preserve9=True)
k16("mad_u16", "v_mad_u16 v8, v0, v1, v2", 3, lambda a, b, c: a * b + c, preserve9=True)
k16("mad_i16", "v_mad_i16 v8, v0, v1, v2", 3, lambda a, b, c: s(a, 16) * s(b, 16) + s(c, 16), preserve9=True)


def pk(fn):
    return lambda *a: u(fn(*[x & 0xFFFF for x in a]), 16) | u(fn(*[x >> 16 for x in a]), 16) << 16


def p2(name, fn, mods=""):
    op(P16, name + ("_clamp" if mods else ""), f"v_{name} v8, v0, v1{mods}", V("i32", "i32"), O, pk(fn))


S16 = lambda x: s(x, 16)
p2("pk_add_u16", lambda a, b: a + b)
p2("pk_add_u16", lambda a, b: min(a + b, 0xFFFF), " clamp")
p2("pk_sub_u16", lambda a, b: a - b)
p2("pk_sub_u16", lambda a, b: max(a - b, 0), " clamp")
p2("pk_add_i16", lambda a, b: a + b)
p2("pk_add_i16", lambda a, b: clamp(S16(a) + S16(b), -32768, 32767), " clamp")
p2("pk_sub_i16", lambda a, b: clamp(S16(a) - S16(b), -32768, 32767), " clamp")
p2("pk_mul_lo_u16", lambda a, b: a * b)
p2("pk_lshlrev_b16", lambda a, b: b << (a & 15))
p2("pk_lshrrev_b16", lambda a, b: b >> (a & 15))
p2("pk_ashrrev_i16", lambda a, b: S16(b) >> (a & 15))
p2("pk_min_i16", lambda a, b: min(a, b, key=S16))
p2("pk_max_i16", lambda a, b: max(a, b, key=S16))
p2("pk_min_u16", min)
p2("pk_max_u16", max)
op(P16, "pk_mad_u16", "v_pk_mad_u16 v8, v0, v1, v2", V("i32", "i32", "i32"), O, pk(lambda a, b, c: a * b + c))
op(P16, "pk_mad_i16", "v_pk_mad_i16 v8, v0, v1, v2", V("i32", "i32", "i32"), O, pk(lambda a, b, c: S16(a) * S16(b) + S16(c)))
op(P16, "pk_add_u16_op_sel", "v_pk_add_u16 v8, v0, v1 op_sel:[1,0] op_sel_hi:[0,1]", V("i32", "i32"), O,
   lambda a, b: u((a >> 16) + (b & 0xFFFF), 16) | u((a & 0xFFFF) + (b >> 16), 16) << 16)


def dot(bits, signed_a, signed_b, sat):
    def f(a, b, c):
        m = (1 << bits) - 1
        t = s(c, 32) if signed_a or signed_b else c
        for i in range(32 // bits):
            x, y = (a >> (bits * i)) & m, (b >> (bits * i)) & m
            t += (s(x, bits) if signed_a else x) * (s(y, bits) if signed_b else y)
        if sat:
            t = clamp(t, -2**31, 2**31 - 1) if signed_a or signed_b else min(t, M32)
        return u(t)
    return f


for n, b in (("dot4_i32_i8", 8), ("dot8_i32_i4", 4)):
    for c in ("", " clamp"):
        op(P16, n + c.strip(), {f: f"v_{n} v8, v0, v1, v2{c}" for f in (GFX9, GFX10)}, V("i32", "i32", "i32"), O, dot(b, True, True, bool(c)))
for n, b in (("dot4_u32_u8", 8), ("dot8_u32_u4", 4)):
    for c in ("", " clamp"):
        op(P16, n + c.strip(), f"v_{n} v8, v0, v1, v2{c}", V("i32", "i32", "i32"), O, dot(b, False, False, bool(c)))
for n, sg in (("dot2_i32_i16", True), ("dot2_u32_u16", False)):
    for c in ("", " clamp"):
        op(P16, n + c.strip(), {f: f"v_{n} v8, v0, v1, v2{c}" for f in (GFX9, GFX10)}, V("i32", "i32", "i32"), O, dot(16, sg, sg, bool(c)))
for base, b in (("dot4_i32_iu8", 8), ("dot8_i32_iu4", 4)):
    for la, lb in itertools.product((0, 1), repeat=2):
        for c in ("", " clamp"):
            # Without a signed operand the accumulator is still an i32.
            def f(x, y, z, b=b, la=la, lb=lb, c=c):
                m, t = (1 << b) - 1, s(z, 32)
                for i in range(32 // b):
                    p, q = (x >> (b * i)) & m, (y >> (b * i)) & m
                    t += (s(p, b) if la else p) * (s(q, b) if lb else q)
                return u(clamp(t, -2**31, 2**31 - 1) if c else t)
            op(P16, f"{base}_{la}{lb}{c.strip()}", f"v_{base} v8, v0, v1, v2 neg_lo:[{la},{lb},0]{c}", V("i32", "i32", "i32"), O, f, NEW)
op(P16, "dot4c_i32_i8", {GFX10: "v_dot4c_i32_i8_e32 v8, v0, v1"}, V("i32", "i32") + [("v8", "i32")], O, dot(8, True, True, False))

# ---------------------------------------------------------------- float VALU
FL = ("Float vector operations: f16, f32, f64, packed and mixed. Denormals kept, round to nearest even, IEEE mode.", "valu_float.txt")


def f32op(name, spell, n, fn, fam=None):
    op(FL, name, spell, V(*["f32"] * n), O, lambda *a: F.enc(fn(*map(F.dec, a))), fam)


def plain_nan(n, fmt, vals):
    return [t for t in tuples(vals)]


f32op("add_f32", "v_add_f32_e32 v8, v0, v1", 2, fadd)
f32op("sub_f32", "v_sub_f32_e32 v8, v0, v1", 2, lambda a, b: fadd(a, fneg(b)))
f32op("subrev_f32", "v_subrev_f32_e32 v8, v0, v1", 2, lambda a, b: fadd(b, fneg(a)))
f32op("mul_f32", "v_mul_f32_e32 v8, v0, v1", 2, fmul)
f32op("fma_f32", "v_fma_f32 v8, v0, v1, v2", 3, ffma)
f32op("fma_f32_neg", "v_fma_f32 v8, -v0, v1, -v2", 3, lambda a, b, c: ffma(fneg(a), b, fneg(c)))


def fabs(v):
    return fneg(v) if isneg(v) else v


f32op("add_f32_abs", "v_add_f32_e64 v8, |v0|, -|v1|", 2, lambda a, b: fadd(fabs(a), fneg(fabs(b))))


def finite(*sets):
    """Tuples without NaN: what min, max and med3 do with signalling NaNs depends on IEEE mode and is tested on its own."""
    return lambda fmt, kinds: [t for t in tuples(kinds) if all(fmt.dec(x) != "nan" for x in t)]


nonan = finite()


def fm(name, spell, n, fn, fmt, kind, fam=None):
    ins = V(*[kind] * n) if kind != "f64" else [(f"v[{2*i}:{2*i+1}]", kind) for i in range(n)]
    op(FL, name, spell, ins, O if fmt.bits < 64 else W64, lambda *a: fmt.enc(fn(*map(fmt.dec, a))), fam, data=nonan(fmt, [kind] * n))


mm = lambda n, t, args: {**{f: f"v_{n}_{t}{args}" for f in (GFX9, GFX10, GFX11)}, GFX12: f"v_{n}_num_{t}{args}"}
fm("min_f32", mm("min", "f32", "_e32 v8, v0, v1"), 2, fmin, F, "f32")
fm("max_f32", mm("max", "f32", "_e32 v8, v0, v1"), 2, fmax, F, "f32")
m3 = lambda n, t: {**{f: f"v_{n}_{t} v8, v0, v1, v2" for f in (GFX9, GFX10, GFX11)}, GFX12: f"v_{n}_num_{t} v8, v0, v1, v2"}
fm("min3_f32", m3("min3", "f32"), 3, lambda a, b, c: fmin(fmin(a, b), c), F, "f32")
fm("max3_f32", m3("max3", "f32"), 3, lambda a, b, c: fmax(fmax(a, b), c), F, "f32")
fm("med3_f32", m3("med3", "f32"), 3, lambda a, b, c: sorted((a, b, c), key=order)[1], F, "f32")
for n, how in (("trunc", "rtz"), ("ceil", "ceil"), ("floor", "floor"), ("rndne", "rne")):
    f32op(n + "_f32", f"v_{n}_f32_e32 v8, v0", 1, lambda a, how=how: integral(a, how))
    op(FL, n + "_f64", f"v_{n}_f64_e32 v[8:9], v[0:1]", [("v[0:1]", "f64")], W64, lambda a, how=how: D.enc(integral(D.dec(a), how)))
NF64 = [("v[0:1]", "f64"), ("v[2:3]", "f64"), ("v[4:5]", "f64")]
f64n = lambda n: {**{f: f"v_{n}_f64 v[8:9], v[0:1], v[2:3]" for f in (GFX9, GFX10, GFX11)}, GFX12: f"v_{n}_f64_e32 v[8:9], v[0:1], v[2:3]"}
op(FL, "add_f64", f64n("add"), NF64[:2], W64, lambda a, b: D.enc(fadd(D.dec(a), D.dec(b))))
op(FL, "mul_f64", f64n("mul"), NF64[:2], W64, lambda a, b: D.enc(fmul(D.dec(a), D.dec(b))))
op(FL, "fma_f64", "v_fma_f64 v[8:9], v[0:1], v[2:3], v[4:5]", NF64, W64, lambda a, b, c: D.enc(ffma(D.dec(a), D.dec(b), D.dec(c))))
f64m = lambda n: {**{f: f"v_{n}_f64 v[8:9], v[0:1], v[2:3]" for f in (GFX9, GFX10, GFX11)}, GFX12: f"v_{n}_num_f64_e32 v[8:9], v[0:1], v[2:3]"}
fm("min_f64", f64m("min"), 2, fmin, D, "f64")
fm("max_f64", f64m("max"), 2, fmax, D, "f64")


def ldexp(fmt, v, e):
    return fmt.enc(v if not isnum(v) or num(v) == 0 else v * Fraction(2) ** clamp(e, -5000, 5000))


op(FL, "ldexp_f32", "v_ldexp_f32 v8, v0, v1", V("f32", "i32"), O, lambda a, b: ldexp(F, F.dec(a), s(b, 32)),
   data=[(a, e & M32) for a in F32 for e in (0, 1, -1, 24, -24, 127, -150, 300)][:LIMIT * 3])
op(FL, "ldexp_f64", "v_ldexp_f64 v[8:9], v[0:1], v2", [("v[0:1]", "f64"), ("v2", "i32")], W64, lambda a, b: ldexp(D, D.dec(a), s(b, 32)),
   data=[(a, e & M32) for a in F64 for e in (0, 1, -60, 1023, -1074)])


def frexp(v):
    a = abs(num(v))
    e = a.numerator.bit_length() - a.denominator.bit_length()
    e = e if Fraction(2) ** e > a else e + 1
    return v / Fraction(2) ** e, e


zero = lambda v: isnum(v) and num(v) == 0
op(FL, "frexp_exp_i32_f32", "v_frexp_exp_i32_f32_e32 v8, v0", V("f32"), O, lambda a: u(0 if not isnum(F.dec(a)) or zero(F.dec(a)) else frexp(F.dec(a))[1]))
op(FL, "frexp_mant_f32", "v_frexp_mant_f32_e32 v8, v0", V("f32"), O, lambda a: F.enc(F.dec(a) if not isnum(F.dec(a)) or zero(F.dec(a)) else frexp(F.dec(a))[0]))
op(FL, "frexp_exp_i32_f64", "v_frexp_exp_i32_f64_e32 v8, v[0:1]", [("v[0:1]", "f64")], O, lambda a: u(0 if not isnum(D.dec(a)) or zero(D.dec(a)) else frexp(D.dec(a))[1]))
op(FL, "frexp_mant_f64", "v_frexp_mant_f64_e32 v[8:9], v[0:1]", [("v[0:1]", "f64")], W64, lambda a: D.enc(D.dec(a) if not isnum(D.dec(a)) or zero(D.dec(a)) else frexp(D.dec(a))[0]))


def h16(name, spell, n, fn, fam=None, preserve9=False, data=None):
    def run(old, *a, fam):
        keep = fam != GFX9 or preserve9
        r = H.enc(fn(*map(H.dec, a)))
        if isinstance(r, str):
            return "qnan16" if keep else "0qnan16"
        return (old & 0xFFFF0000 if keep else 0) | r
    rows = [(random.getrandbits(32) | 0x10000,) + t for t in (data or tuples(["f16"] * n))]
    op(FL, name, spell, [("v8", "i32")] + V(*["f16"] * n), O, run, fam, data=rows)


h16("add_f16", "v_add_f16_e32 v8, v0, v1", 2, fadd)
h16("sub_f16", "v_sub_f16_e32 v8, v0, v1", 2, lambda a, b: fadd(a, fneg(b)))
h16("mul_f16", "v_mul_f16_e32 v8, v0, v1", 2, fmul)
h16("fma_f16", "v_fma_f16 v8, v0, v1, v2", 3, ffma, preserve9=True)
h16("min_f16", mm("min", "f16", "_e32 v8, v0, v1"), 2, fmin, data=nonan(H, ["f16"] * 2))
h16("max_f16", mm("max", "f16", "_e32 v8, v0, v1"), 2, fmax, data=nonan(H, ["f16"] * 2))
h16("min3_f16", m3("min3", "f16"), 3, lambda a, b, c: fmin(fmin(a, b), c), data=nonan(H, ["f16"] * 3), preserve9=True)
h16("max3_f16", m3("max3", "f16"), 3, lambda a, b, c: fmax(fmax(a, b), c), data=nonan(H, ["f16"] * 3), preserve9=True)
for n, how in (("trunc", "rtz"), ("ceil", "ceil"), ("floor", "floor"), ("rndne", "rne")):
    h16(n + "_f16", f"v_{n}_f16_e32 v8, v0", 1, lambda a, how=how: integral(a, how))


def pkh(name, spell, n, fn, data=None):
    def run(*a):
        lo, hi = H.enc(fn(*[H.dec(x) for x in a])), H.enc(fn(*[H.dec(x >> 16) for x in a]))
        if isinstance(lo, str) or isinstance(hi, str):
            return "*"
        return lo | hi << 16
    rows = []
    for t, q in zip(data or tuples(["f16"] * n), (data or tuples(["f16"] * n))[7:] + (data or tuples(["f16"] * n))[:7]):
        rows.append(tuple(x | y << 16 for x, y in zip(t, q)))
    rows = [r for r in rows if run(*r) != "*"]
    op(FL, name, spell, V(*["i32"] * n), O, run, data=rows)


pkh("pk_add_f16", "v_pk_add_f16 v8, v0, v1", 2, fadd)
pkh("pk_mul_f16", "v_pk_mul_f16 v8, v0, v1", 2, fmul)
pkh("pk_fma_f16", "v_pk_fma_f16 v8, v0, v1, v2", 3, ffma)
pkn = lambda n: {**{f: f"v_pk_{n}_f16 v8, v0, v1" for f in (GFX9, GFX10, GFX11)}, GFX12: f"v_pk_{n}_num_f16 v8, v0, v1"}
pkh("pk_min_f16", pkn("min"), 2, fmin, nonan(H, ["f16"] * 2))
pkh("pk_max_f16", pkn("max"), 2, fmax, nonan(H, ["f16"] * 2))
mixdata = [(a, b, c) for a, b, c in tuples(["f16", "f16", "f32"])]
op(FL, "fma_mix_f32", {GFX10: "v_fma_mix_f32 v8, v0, v1, v2 op_sel_hi:[1,1,0]", GFX11: "v_fma_mix_f32 v8, v0, v1, v2 op_sel_hi:[1,1,0]",
                       GFX12: "v_fma_mix_f32 v8, v0, v1, v2 op_sel_hi:[1,1,0]", GFX9: "v_fma_mix_f32 v8, v0, v1, v2 op_sel_hi:[1,1,0]"},
   [("v0", "f16"), ("v1", "f16"), ("v2", "f32")], O, lambda a, b, c: F.enc(ffma(H.dec(a), H.dec(b), F.dec(c))), data=mixdata)

# conversions
op(FL, "cvt_f32_f16", "v_cvt_f32_f16_e32 v8, v0", V("f16"), O, lambda a: F.enc(H.dec(a)))
h16cvt = lambda fam, v, old: v if isinstance(v, str) else (old & 0xFFFF0000 if fam != GFX9 else 0) | v


def cvt16(name, spell, kind, fn):
    rows = [(random.getrandbits(32) | 0x10000, x) for x in SETS[kind][0] + [random.getrandbits(SETS[kind][1]) for _ in range(16)]]

    def run(old, a, fam):
        r = fn(a)
        if isinstance(r, str):
            return "qnan16" if fam != GFX9 else "0qnan16"
        return (old & 0xFFFF0000 if fam != GFX9 else 0) | u(r, 16)
    op(FL, name, spell, [("v8", "i32"), ("v0", kind)], O, run, data=rows)


cvt16("cvt_f16_f32", "v_cvt_f16_f32_e32 v8, v0", "f32", lambda a: H.enc(F.dec(a)))
cvt16("cvt_f16_u16", "v_cvt_f16_u16_e32 v8, v0", "i16", lambda a: H.enc(Fraction(a)))
cvt16("cvt_f16_i16", "v_cvt_f16_i16_e32 v8, v0", "i16", lambda a: H.enc(Fraction(S16(a))))
cvt16("cvt_u16_f16", "v_cvt_u16_f16_e32 v8, v0", "f16", lambda a: to_int(H.dec(a), 0, 65535))
cvt16("cvt_i16_f16", "v_cvt_i16_f16_e32 v8, v0", "f16", lambda a: to_int(H.dec(a), -32768, 32767))
op(FL, "cvt_f32_f64", "v_cvt_f32_f64_e32 v8, v[0:1]", [("v[0:1]", "f64")], O, lambda a: F.enc(D.dec(a)))
op(FL, "cvt_f64_f32", "v_cvt_f64_f32_e32 v[8:9], v0", V("f32"), W64, lambda a: D.enc(F.dec(a)))
op(FL, "cvt_f32_i32", "v_cvt_f32_i32_e32 v8, v0", V("i32"), O, lambda a: F.enc(Fraction(s(a, 32))))
op(FL, "cvt_f32_u32", "v_cvt_f32_u32_e32 v8, v0", V("i32"), O, lambda a: F.enc(Fraction(a)))
op(FL, "cvt_f64_i32", "v_cvt_f64_i32_e32 v[8:9], v0", V("i32"), W64, lambda a: D.enc(Fraction(s(a, 32))))
op(FL, "cvt_f64_u32", "v_cvt_f64_u32_e32 v[8:9], v0", V("i32"), W64, lambda a: D.enc(Fraction(a)))
op(FL, "cvt_i32_f32", "v_cvt_i32_f32_e32 v8, v0", V("f32"), O, lambda a: u(to_int(F.dec(a), -2**31, 2**31 - 1)))
op(FL, "cvt_u32_f32", "v_cvt_u32_f32_e32 v8, v0", V("f32"), O, lambda a: to_int(F.dec(a), 0, M32))
op(FL, "cvt_i32_f64", "v_cvt_i32_f64_e32 v8, v[0:1]", [("v[0:1]", "f64")], O, lambda a: u(to_int(D.dec(a), -2**31, 2**31 - 1)))
op(FL, "cvt_u32_f64", "v_cvt_u32_f64_e32 v8, v[0:1]", [("v[0:1]", "f64")], O, lambda a: to_int(D.dec(a), 0, M32))
op(FL, "cvt_floor_i32_f32", {GFX9: "v_cvt_flr_i32_f32_e32 v8, v0", GFX10: "v_cvt_flr_i32_f32_e32 v8, v0", GFX11: "v_cvt_floor_i32_f32_e32 v8, v0", GFX12: "v_cvt_floor_i32_f32_e32 v8, v0"},
   V("f32"), O, lambda a: u(to_int(F.dec(a), -2**31, 2**31 - 1, "floor")))
op(FL, "cvt_nearest_i32_f32", {GFX9: "v_cvt_rpi_i32_f32_e32 v8, v0", GFX10: "v_cvt_rpi_i32_f32_e32 v8, v0", GFX11: "v_cvt_nearest_i32_f32_e32 v8, v0", GFX12: "v_cvt_nearest_i32_f32_e32 v8, v0"},
   V("f32"), O, lambda a: u(to_int(F.dec(a), -2**31, 2**31 - 1, "half_up")))
for i in range(4):
    op(FL, f"cvt_f32_ubyte{i}", f"v_cvt_f32_ubyte{i}_e32 v8, v0", V("i32"), O, lambda a, i=i: F.enc(Fraction(by(a, i))))
rtz = {GFX9: "v_cvt_pkrtz_f16_f32 v8, v0, v1", GFX10: "v_cvt_pkrtz_f16_f32_e32 v8, v0, v1", GFX11: "v_cvt_pk_rtz_f16_f32_e32 v8, v0, v1", GFX12: "v_cvt_pk_rtz_f16_f32_e32 v8, v0, v1"}
op(FL, "cvt_pkrtz_f16_f32", rtz, V("f32", "f32"), O, lambda a, b: H.enc(F.dec(a), "rtz") | H.enc(F.dec(b), "rtz") << 16, data=nonan(F, ["f32", "f32"]))
op(FL, "cvt_pk_u8_f32", "v_cvt_pk_u8_f32 v8, v0, v1, v2", V("f32", "i32", "i32"), O,
   lambda a, b, c: (c & ~(0xFF << (8 * (b & 3)))) & M32 | to_int(F.dec(a), 0, 255) << (8 * (b & 3)),
   data=[(a, b, c) for a in (0, 0x3F800000, 0xBF800000, 0x437F0000, 0x43800000, 0x7F800000, 0xFF800000, 0x42F70000) for b in (0, 1, 2, 3, 6) for c in (0x01020304,)])

# ---------------------------------------------------------------- compares
CMP = ("Vector compares and classes: the lane's bit of VCC.", "valu_cmp.txt")
REL = {"lt": lambda a, b: a < b, "eq": lambda a, b: a == b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ne": lambda a, b: a != b, "ge": lambda a, b: a >= b}
for t, bits, sg in (("i32", 32, 1), ("u32", 32, 0), ("i16", 16, 1), ("u16", 16, 0), ("i64", 64, 1), ("u64", 64, 0)):
    ins = [("v[0:1]", "i64"), ("v[2:3]", "i64")] if bits == 64 else V("i%d" % bits, "i%d" % bits)
    regs = "v[0:1], v[2:3]" if bits == 64 else "v0, v1"
    rows = tuples(["i%d" % bits] * 2)
    rows += [(a, a) for a, _ in rows[:8]]
    for n, f in REL.items():
        op(CMP, f"cmp_{n}_{t}", co(f"v_cmp_{n}_{t}_e32 vcc, {regs}", f"v_cmp_{n}_{t}_e32 vcc_lo, {regs}"), ins, [("vcc", 32)],
           lambda a, b, f=f, bits=bits, sg=sg: int(f(s(a, bits), s(b, bits)) if sg else f(a, b)), data=rows)


def frel(n):
    def f(a, b):
        un = "nan" in (a, b)
        if n == "o":
            return not un
        if n == "u":
            return un
        base = n[1:] if n[0] == "n" else n
        k = lambda v: (order(v)[0], order(v)[1])
        r = not un and {"lt": lambda x, y: x < y, "eq": lambda x, y: x == y, "le": lambda x, y: x <= y, "gt": lambda x, y: x > y,
                        "lg": lambda x, y: x != y, "ge": lambda x, y: x >= y}[base](k(a), k(b))
        return not r if n[0] == "n" else r
    return f


for t, fmt in (("f16", H), ("f32", F), ("f64", D)):
    ins = [("v[0:1]", "f64"), ("v[2:3]", "f64")] if t == "f64" else V(t, t)
    regs = "v[0:1], v[2:3]" if t == "f64" else "v0, v1"
    rows = tuples([t, t])
    rows += [(a, a) for a, _ in rows[:12]]
    for n in "lt eq le gt lg ge o u nge nlg ngt nle neq nlt".split():
        op(CMP, f"cmp_{n}_{t}", co(f"v_cmp_{n}_{t}_e32 vcc, {regs}", f"v_cmp_{n}_{t}_e32 vcc_lo, {regs}"), ins, [("vcc", 32)],
           lambda a, b, n=n, fmt=fmt: int(frel(n)(fmt.dec(a), fmt.dec(b))), data=rows)

    def klass(a, m, fmt=fmt):
        v, neg = fmt.dec(a), a >> (fmt.bits - 1) & 1
        if v == "nan":
            bit = 1 if (a >> (fmt.mbits - 1)) & 1 else 0
        elif not isnum(v):
            bit = 2 if neg else 9
        elif num(v) == 0:
            bit = 5 if neg else 6
        elif abs(v) < Fraction(2) ** (1 - fmt.bias):
            bit = 4 if neg else 7
        else:
            bit = 3 if neg else 8
        return (m >> bit) & 1
    cin = [ins[0], ("v2" if t == "f64" else "v1", "i32")]
    cregs = "v[0:1], v2" if t == "f64" else "v0, v1"
    op(CMP, f"cmp_class_{t}", co(f"v_cmp_class_{t}_e32 vcc, {cregs}", f"v_cmp_class_{t}_e32 vcc_lo, {cregs}"), cin, [("vcc", 32)], klass,
       data=[(a, m) for a in SETS[t][0] for m in (0x3FF, 0x003, 0x204, 0x108, 0x090, 0x060)])

# ---------------------------------------------------------------- scalar ALU
SA = ("Scalar operations and SCC.", "salu.txt")
SC = [("s30", 32), ("scc", 32)]


def s2(name, spell, fn, fam=None, outs=SC, kinds=("i32", "i32")):
    ins = [("s20", "i32") if k == "i32" else ("s[20:21]", k) for k in kinds[:1]] + [("s22", "i32") if k == "i32" else ("s[22:23]", k) for k in kinds[1:]]
    op(SA, name, spell, ins, outs, fn, fam, scalar=True)


def sn(new, old):
    return {GFX9: old, GFX10: old, GFX11: old, GFX12: new}


S32 = lambda x: s(x, 32)
ov = lambda v: int(not -2**31 <= v < 2**31)
s2("s_add_u32", sn("s_add_co_u32 s30, s20, s22", "s_add_u32 s30, s20, s22"), lambda a, b: (u(a + b), (a + b) >> 32))
s2("s_sub_u32", sn("s_sub_co_u32 s30, s20, s22", "s_sub_u32 s30, s20, s22"), lambda a, b: (u(a - b), int(a < b)))
s2("s_add_i32", sn("s_add_co_i32 s30, s20, s22", "s_add_i32 s30, s20, s22"), lambda a, b: (u(a + b), ov(S32(a) + S32(b))))
s2("s_sub_i32", sn("s_sub_co_i32 s30, s20, s22", "s_sub_i32 s30, s20, s22"), lambda a, b: (u(a - b), ov(S32(a) - S32(b))))
CIN = [("s20", "i32"), ("s22", "i32"), ("scc", "bit")]
sdata = [(a, b, c) for a, b in tuples(["i32", "i32"])[:20] for c in (0, 1)]
op(SA, "s_addc_u32", sn("s_add_co_ci_u32 s30, s20, s22", "s_addc_u32 s30, s20, s22"), CIN, SC, lambda a, b, c: (u(a + b + c), (a + b + c) >> 32), data=sdata, scalar=True)
op(SA, "s_subb_u32", sn("s_sub_co_ci_u32 s30, s20, s22", "s_subb_u32 s30, s20, s22"), CIN, SC, lambda a, b, c: (u(a - b - c), int(a - b - c < 0)), data=sdata, scalar=True)
op(SA, "s_cselect_b32", "s_cselect_b32 s30, s20, s22", CIN, SC[:1], lambda a, b, c: a if c else b, data=sdata, scalar=True)
for t, k in (("i32", S32), ("u32", lambda x: x)):
    # SCC: the first operand was chosen.
    s2(f"s_min_{t}", f"s_min_{t} s30, s20, s22", lambda a, b, k=k: (min(a, b, key=k), int(k(a) < k(b))))
    s2(f"s_max_{t}", f"s_max_{t} s30, s20, s22", lambda a, b, k=k: (max(a, b, key=k), int(k(a) >= k(b))))
BIT = {"and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "nand": lambda a, b: ~(a & b), "nor": lambda a, b: ~(a | b),
       "xnor": lambda a, b: ~(a ^ b), "andn2": lambda a, b: a & ~b, "orn2": lambda a, b: a | ~b}
SC64 = [("s[30:31]", 64), ("scc", 32)]
for n, f in BIT.items():
    new = {"andn2": "and_not1", "orn2": "or_not1"}.get(n, n)
    for b, args, outs in ((32, "s30, s20, s22", SC), (64, "s[30:31], s[20:21], s[22:23]", SC64)):
        s2(f"s_{n}_b{b}", {f_: f"s_{new if f_ in NEW else n}_b{b} {args}" for f_ in ALL}, lambda x, y, f=f, b=b: (u(f(x, y), b), int(u(f(x, y), b) != 0)),
           outs=outs, kinds=("i32", "i32") if b == 32 else ("i64", "i64"))
for n, f in (("lshl_b", lambda a, k, b: a << k), ("lshr_b", lambda a, k, b: a >> k), ("ashr_i", lambda a, k, b: s(a, b) >> k)):
    for b in (32, 64):
        args, outs = ("s30, s20, s22", SC) if b == 32 else ("s[30:31], s[20:21], s22", SC64)
        s2(f"s_{n}{b}", f"s_{n}{b} {args}", lambda a, k, f=f, b=b: (u(f(a, k & (b - 1), b), b), int(u(f(a, k & (b - 1), b), b) != 0)), outs=outs,
           kinds=("i32" if b == 32 else "i64", "i32"))
s2("s_bfm_b32", "s_bfm_b32 s30, s20, s22", lambda a, b: u(((1 << (a & 31)) - 1) << (b & 31)), outs=SC[:1])
s2("s_bfm_b64", "s_bfm_b64 s[30:31], s20, s22", lambda a, b: u(((1 << (a & 63)) - 1) << (b & 63), 64), outs=SC64[:1])
bf = [(a, o | w << 16) for a in (0xDEADBEEF, 0x80000000, 0x7FFFFFFF, M32) for o, w in ((0, 0), (0, 8), (4, 8), (16, 16), (31, 1), (8, 24), (0, 32), (20, 20), (0, 31))]


def sbfe(a, k, bits, signed):
    o, w = k & (bits - 1), (k >> 16) & 0x7F
    if w == 0:
        return 0
    w = min(w, bits - o)
    v = (a >> o) & ((1 << w) - 1)
    return u(s(v, w), bits) if signed else v


for sg, t in ((0, "u"), (1, "i")):
    op(SA, f"s_bfe_{t}32", f"s_bfe_{t}32 s30, s20, s22", [("s20", "i32"), ("s22", "i32")], SC, lambda a, k, sg=sg: (sbfe(a, k, 32, sg), int(sbfe(a, k, 32, sg) != 0)), data=bf, scalar=True)
    op(SA, f"s_bfe_{t}64", f"s_bfe_{t}64 s[30:31], s[20:21], s22", [("s[20:21]", "i64"), ("s22", "i32")], SC64, lambda a, k, sg=sg: (sbfe(a, k, 64, sg), int(sbfe(a, k, 64, sg) != 0)),
       data=[(a << 32 | 0x8765432100000000 >> 32, o | w << 16) for a in (0xDEADBEEF, 0x7FFFFFFF) for o, w in ((0, 0), (0, 8), (28, 8), (32, 32), (63, 1), (0, 64), (0, 63))], scalar=True)
s2("s_mul_i32", "s_mul_i32 s30, s20, s22", lambda a, b: u(a * b), outs=SC[:1])
s2("s_mul_hi_u32", "s_mul_hi_u32 s30, s20, s22", lambda a, b: (a * b) >> 32, outs=SC[:1])
s2("s_mul_hi_i32", "s_mul_hi_i32 s30, s20, s22", lambda a, b: u((S32(a) * S32(b)) >> 32), outs=SC[:1])
s2("s_absdiff_i32", "s_absdiff_i32 s30, s20, s22", lambda a, b: (u(abs(s(u(a - b), 32))), int(u(a - b) != 0)))
for k in (1, 2, 3, 4):
    s2(f"s_lshl{k}_add_u32", f"s_lshl{k}_add_u32 s30, s20, s22", lambda a, b, k=k: (u((a << k) + b), int((a << k) + b > M32)))
s2("s_pack_ll_b32_b16", "s_pack_ll_b32_b16 s30, s20, s22", lambda a, b: a & 0xFFFF | u(b << 16), outs=SC[:1])
s2("s_pack_lh_b32_b16", "s_pack_lh_b32_b16 s30, s20, s22", lambda a, b: a & 0xFFFF | b & 0xFFFF0000, outs=SC[:1])
s2("s_pack_hh_b32_b16", "s_pack_hh_b32_b16 s30, s20, s22", lambda a, b: a >> 16 | b & 0xFFFF0000, outs=SC[:1])


def s1(name, spell, fn, outs=SC, kind="i32", fam=None):
    op(SA, name, spell, [("s20" if kind == "i32" else "s[20:21]", kind)], outs, fn, fam, scalar=True)


s1("s_not_b32", "s_not_b32 s30, s20", lambda a: (u(~a), int(u(~a) != 0)))
s1("s_not_b64", "s_not_b64 s[30:31], s[20:21]", lambda a: (u(~a, 64), int(u(~a, 64) != 0)), SC64, "i64")
s1("s_brev_b32", "s_brev_b32 s30, s20", lambda a: int("{:032b}".format(a)[::-1], 2), SC[:1])
s1("s_bcnt0_i32_b32", "s_bcnt0_i32_b32 s30, s20", lambda a: (32 - bin(a).count("1"), int(a != M32)))
s1("s_bcnt1_i32_b32", "s_bcnt1_i32_b32 s30, s20", lambda a: (bin(a).count("1"), int(a != 0)))
s1("s_bcnt1_i32_b64", "s_bcnt1_i32_b64 s30, s[20:21]", lambda a: (bin(a).count("1"), int(a != 0)), SC, "i64")
nm = lambda old, new, args: {GFX9: f"{old} {args}", GFX10: f"{old} {args}", GFX11: f"{new} {args}", GFX12: f"{new} {args}"}
s1("s_ff1_i32_b32", nm("s_ff1_i32_b32", "s_ctz_i32_b32", "s30, s20"), lambda a: (a & -a).bit_length() - 1 if a else M32, SC[:1])
s1("s_ff1_i32_b64", nm("s_ff1_i32_b64", "s_ctz_i32_b64", "s30, s[20:21]"), lambda a: (a & -a).bit_length() - 1 if a else M32, SC[:1], "i64")
s1("s_flbit_i32_b32", nm("s_flbit_i32_b32", "s_clz_i32_u32", "s30, s20"), lambda a: 32 - a.bit_length() if a else M32, SC[:1])
s1("s_flbit_i32_b64", nm("s_flbit_i32_b64", "s_clz_i32_u64", "s30, s[20:21]"), lambda a: 64 - a.bit_length() if a else M32, SC[:1], "i64")
s1("s_flbit_i32", nm("s_flbit_i32", "s_cls_i32", "s30, s20"), cls, SC[:1])
s1("s_sext_i32_i8", "s_sext_i32_i8 s30, s20", lambda a: u(s(a, 8)), SC[:1])
s1("s_sext_i32_i16", "s_sext_i32_i16 s30, s20", lambda a: u(s(a, 16)), SC[:1])
s1("s_abs_i32", "s_abs_i32 s30, s20", lambda a: (u(abs(S32(a))), int(a != 0)))
for n, f in REL.items():
    nn = "lg" if n == "ne" else n
    for t, k in (("i32", S32), ("u32", lambda x: x)):
        s2(f"s_cmp_{nn}_{t}", f"s_cmp_{nn}_{t} s20, s22", lambda a, b, f=f, k=k: int(f(k(a), k(b))), outs=SC[1:])
s2("s_bitcmp1_b32", "s_bitcmp1_b32 s20, s22", lambda a, b: (a >> (b & 31)) & 1, outs=SC[1:])
s2("s_bitcmp0_b32", "s_bitcmp0_b32 s20, s22", lambda a, b: 1 - ((a >> (b & 31)) & 1), outs=SC[1:])
op(SA, "s_bitset1_b32", "s_bitset1_b32 s30, s22", [("s30", "i32"), ("s22", "i32")], SC[:1], lambda a, b: a | 1 << (b & 31), scalar=True)
op(SA, "s_bitset0_b32", "s_bitset0_b32 s30, s22", [("s30", "i32"), ("s22", "i32")], SC[:1], lambda a, b: a & ~(1 << (b & 31)), scalar=True)
s1("s_quadmask_b32", "s_quadmask_b32 s30, s20", lambda a: (sum(((a >> 4 * i & 15) != 0) << i for i in range(8)), int(a != 0)))
s1("s_bitreplicate_b64_b32", "s_bitreplicate_b64_b32 s[30:31], s20", lambda a: sum((3 << 2 * i) for i in range(32) if a >> i & 1), SC64[:1])
SF = [GFX12]
op(SA, "s_add_f32", "s_add_f32 s30, s20, s22", [("s20", "f32"), ("s22", "f32")], SC[:1], lambda a, b: F.enc(fadd(F.dec(a), F.dec(b))), SF, scalar=True)
op(SA, "s_mul_f32", "s_mul_f32 s30, s20, s22", [("s20", "f32"), ("s22", "f32")], SC[:1], lambda a, b: F.enc(fmul(F.dec(a), F.dec(b))), SF, scalar=True)
op(SA, "s_fmac_f32", "s_fmac_f32 s30, s20, s22", [("s30", "f32"), ("s20", "f32"), ("s22", "f32")], SC[:1], lambda c, a, b: F.enc(ffma(F.dec(a), F.dec(b), F.dec(c))), SF, scalar=True)
op(SA, "s_cvt_i32_f32", "s_cvt_i32_f32 s30, s20", [("s20", "f32")], SC[:1], lambda a: u(to_int(F.dec(a), -2**31, 2**31 - 1)), SF, scalar=True)
op(SA, "s_cvt_f32_u32", "s_cvt_f32_u32 s30, s20", [("s20", "i32")], SC[:1], lambda a: F.enc(Fraction(a)), SF, scalar=True)
for n in "lt eq le gt lg ge nlt neq".split():
    op(SA, f"s_cmp_{n}_f32", f"s_cmp_{n}_f32 s20, s22", [("s20", "f32"), ("s22", "f32")], SC[1:], lambda a, b, n=n: int(frel(n)(F.dec(a), F.dec(b))), SF, scalar=True)

SETS["bit"] = ([0, 1], 32)
write()
for f in ALL:
    print(f, len({name for ops in FILES.values() for name, spell, *_ in ops if f in spell}), "operations")

// C++ in kernels: structs by value, templates, functors, 64-bit arithmetic, divergent loops, function calls, math.
#include "check.h"

struct Affine {
    double scale, offset;
    __host__ __device__ double operator()(double x) const { return x * scale + offset; }
};

struct Many {
    char a;
    short b;
    long long c;
    float d[7];
    unsigned char e;
};

template <class T, class F> __global__ void map(const T *in, T *out, int n, F f) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = f(in[i]);
}

__global__ void unpack(Many many, double *out) {
    out[0] = many.a, out[1] = many.b, out[2] = double(many.c), out[10] = many.e;
    for (int i = 0; i < 7; i++) out[3 + i] = many.d[i];
}

__device__ __noinline__ unsigned collatz(unsigned long long n) {
    unsigned steps = 0;
    while (n != 1) n = n % 2 ? 3 * n + 1 : n / 2, steps++;
    return steps;
}

__global__ void all_collatz(unsigned *out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = collatz(i + 1);
}

__global__ void integers(const long long *a, const long long *b, long long *out) {
    int i = threadIdx.x;
    long long x = a[i], y = b[i];
    out[i * 6] = x * y, out[i * 6 + 1] = x / y, out[i * 6 + 2] = x % y;
    out[i * 6 + 3] = (unsigned long long)(x) >> (i % 64), out[i * 6 + 4] = __popcll(x) * 64 + __clzll(y);
    out[i * 6 + 5] = __mul64hi(x, y);
}

__global__ void math(const float *in, float *out) {
    int i = threadIdx.x;
    float x = in[i];
    out[i * 5] = sqrtf(x), out[i * 5 + 1] = expf(-x), out[i * 5 + 2] = logf(x + 1), out[i * 5 + 3] = sinf(x);
    out[i * 5 + 4] = x / 3.0f;
}

int main() {
    const int n = 1000;
    std::vector<double> reals(n);
    for (int i = 0; i < n; i++) reals[i] = i * 0.125;
    double *din = upload(reals), *dout = upload(std::vector<double>(n));
    Affine affine{2.5, -3};
    map<<<(n + 99) / 100, 100>>>(din, dout, n, affine);
    LAUNCHED();
    std::vector<double> mapped = download(dout, n);
    for (int i = 0; i < n; i++) equal(mapped[i], affine(reals[i]), "mapped", i);

    Many many{-5, 1234, -1234567890123ll, {1, 2, 3, 4, 5, 6, 7.5f}, 200};
    unpack<<<1, 1>>>(many, dout);
    LAUNCHED();
    std::vector<double> unpacked = download(dout, 11);
    const double expected[] = {-5, 1234, -1234567890123.0, 1, 2, 3, 4, 5, 6, 7.5, 200};
    for (int i = 0; i < 11; i++) equal(unpacked[i], expected[i], "unpacked", i);

    unsigned *steps = upload(std::vector<unsigned>(300));
    all_collatz<<<3, 128>>>(steps, 300);
    LAUNCHED();
    std::vector<unsigned> found = download(steps, 300);
    for (int i = 0; i < 300; i++) {
        unsigned count = 0;
        for (unsigned long long k = i + 1; k != 1; count++) k = k % 2 ? 3 * k + 1 : k / 2;
        equal(found[i], count, "steps", i);
    }

    std::vector<long long> a(64), b(64);
    Random random;
    for (int i = 0; i < 64; i++) {
        a[i] = (long long)((unsigned long long)random() << 32 | random());
        b[i] = (long long)((unsigned long long)random() << (i % 32) | 1);
        if (i % 3 == 0) b[i] = -b[i];
    }
    long long *da = upload(a), *db = upload(b), *dwide = upload(std::vector<long long>(64 * 6));
    integers<<<1, 64>>>(da, db, dwide);
    LAUNCHED();
    std::vector<long long> wide = download(dwide, 64 * 6);
    for (int i = 0; i < 64; i++) {
        long long x = a[i], y = b[i];
        equal(wide[i * 6], (long long)((unsigned long long)x * (unsigned long long)y), "product", i);
        equal(wide[i * 6 + 1], x / y, "quotient", i);
        equal(wide[i * 6 + 2], x % y, "remainder", i);
        equal(wide[i * 6 + 3], (long long)((unsigned long long)x >> i), "shifted", i);
        equal(wide[i * 6 + 4], (long long)(__builtin_popcountll(x) * 64 + __builtin_clzll(y)), "bits", i);
        equal(wide[i * 6 + 5], (long long)((__int128)x * y >> 64), "high product", i);
    }

    std::vector<float> angles(64);
    for (int i = 0; i < 64; i++) angles[i] = 0.05f + i * 0.37f;
    float *dangles = upload(angles), *dmath = upload(std::vector<float>(64 * 5));
    math<<<1, 64>>>(dangles, dmath);
    LAUNCHED();
    std::vector<float> results = download(dmath, 64 * 5);
    for (int i = 0; i < 64; i++) {
        // Two units in the last place: the bound of the device libraries for these functions.
        double x = angles[i], more = angles[i] + 1.0f;
        double values[] = {std::sqrt(x), std::exp(-x), std::log(more), std::sin(x), x / 3};
        for (int f = 0; f < 5; f++) near(results[i * 5 + f], values[f], 2.4e-7 * std::fmax(std::fabs(values[f]), 0.1), "math", i * 5 + f);
    }
    std::puts("PASS");
}

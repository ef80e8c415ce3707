// Atomics on global memory and LDS, of the sizes and kinds that C++ programs use.
#include "check.h"

__global__ void histogram(const unsigned char *bytes, int n, unsigned *bins) {
    __shared__ unsigned local[256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) local[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&local[bytes[i]], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x) atomicAdd(&bins[i], local[i]);
}

struct Results {
    int sum, least, most, exchanged;
    unsigned all, any, odd, wrapped;
    unsigned long long wide, wide_most;
    float real;
    double precise;
    int chain;
};

__global__ void everything(Results *r) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&r->sum, i);
    atomicSub(&r->sum, 1);
    atomicMin(&r->least, 500 - i);
    atomicMax(&r->most, i * 3);
    atomicExch(&r->exchanged, 7);
    atomicAnd(&r->all, ~(1u << (i % 4)));
    atomicOr(&r->any, 1u << (i % 32));
    atomicXor(&r->odd, unsigned(i));
    atomicInc(&r->wrapped, 9u);
    atomicAdd(&r->wide, 1ull << 33);
    atomicMax(&r->wide_most, 5000000000ull + i);
    atomicAdd(&r->real, 0.5f);
    atomicAdd(&r->precise, 0.25);
    // A loop of compare-and-swap: adds two at a time.
    int old = r->chain, seen;
    do {
        seen = old;
        old = atomicCAS(&r->chain, seen, seen + 2);
    } while (old != seen);
}

int main() {
    const int n = 20000;
    Random random;
    std::vector<unsigned char> bytes(n);
    std::vector<unsigned> expected(256);
    for (auto &byte : bytes) byte = random() % 251, expected[byte]++;
    unsigned char *device = upload(bytes);
    unsigned *bins = upload(std::vector<unsigned>(256));
    histogram<<<4, 128>>>(device, n, bins);
    LAUNCHED();
    std::vector<unsigned> found = download(bins, 256);
    for (int i = 0; i < 256; i++) equal(found[i], expected[i], "bin", i);

    Results start{};
    start.all = ~0u;
    Results *results = upload(std::vector<Results>(1, start));
    const int threads = 4 * 100;
    everything<<<4, 100>>>(results);
    LAUNCHED();
    Results r = download(results, 1)[0];
    unsigned odd = 0;
    for (int i = 0; i < threads; i++) odd ^= i;
    equal(r.sum, threads * (threads - 1) / 2 - threads, "sum");
    equal(r.least, 0, "least");
    equal(r.most, (threads - 1) * 3, "most");
    equal(r.exchanged, 7, "exchanged");
    equal(r.all, ~0xfu, "all");
    equal(r.any, ~0u, "any");
    equal(r.odd, odd, "odd");
    equal(r.wrapped, unsigned(threads % 10), "wrapped");
    equal(r.wide, (1ull << 33) * threads, "wide");
    equal(r.wide_most, 5000000000ull + threads - 1, "wide_most");
    equal(r.real, 0.5f * threads, "real");
    equal(r.precise, 0.25 * threads, "precise");
    equal(r.chain, 2 * threads, "chain");
    std::puts("PASS");
}

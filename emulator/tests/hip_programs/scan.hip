// A prefix sum over blocks, and compaction with ballots; both for any wave size.
#include "check.h"

__global__ void scan_block(const unsigned *in, unsigned *out, unsigned *totals, int n) {
    __shared__ unsigned sums[64];
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % warpSize, wave = threadIdx.x / warpSize;
    unsigned value = i < n ? in[i] : 0;
    for (int offset = 1; offset < warpSize; offset *= 2) {
        unsigned other = __shfl_up(value, offset);
        if (lane >= offset) value += other;
    }
    if (lane == warpSize - 1) sums[wave] = value;
    __syncthreads();
    for (int before = 0; before < wave; before++) value += sums[before];
    if (i < n) out[i] = value;
    if (threadIdx.x == blockDim.x - 1) totals[blockIdx.x] = value;
}

__global__ void add_totals(unsigned *out, const unsigned *totals, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned before = 0;
    for (unsigned b = 0; b < blockIdx.x; b++) before += totals[b];
    if (i < n) out[i] += before;
}

// Keeps the multiples of three, in order within a wave.
__global__ void compact(const unsigned *in, unsigned *out, unsigned *count, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % warpSize;
    bool keep = i < n && in[i] % 3 == 0;
    unsigned long long kept = __ballot(keep);
    unsigned start = 0;
    if (lane == 0) start = atomicAdd(count, unsigned(__popcll(kept)));
    start = __shfl(start, 0);
    if (keep) out[start + __popcll(kept & ((1ull << lane) - 1))] = in[i];
}

int main() {
    const int n = 3000, block = 256, blocks = (n + block - 1) / block;
    Random random;
    std::vector<unsigned> values(n);
    for (auto &value : values) value = random() % 1000;
    unsigned *in = upload(values), *out = upload(std::vector<unsigned>(n)), *totals = upload(std::vector<unsigned>(blocks));
    scan_block<<<blocks, block>>>(in, out, totals, n);
    add_totals<<<blocks, block>>>(out, totals, n);
    LAUNCHED();
    std::vector<unsigned> found = download(out, n);
    unsigned sum = 0, multiples = 0;
    unsigned long long of_multiples = 0;
    for (int i = 0; i < n; i++) {
        equal(found[i], sum += values[i], "prefix", i);
        if (values[i] % 3 == 0) multiples++, of_multiples += values[i];
    }
    unsigned *count = upload(std::vector<unsigned>(1));
    compact<<<blocks, block>>>(in, out, count, n);
    LAUNCHED();
    equal(download(count, 1)[0], multiples, "count");
    found = download(out, multiples);
    unsigned long long kept = 0;
    for (unsigned i = 0; i < multiples; i++) equal(found[i] % 3, 0u, "kept", i), kept += found[i];
    equal(kept, of_multiples, "sum of the kept");
    std::puts("PASS");
}

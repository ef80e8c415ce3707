// A sum: shuffles within a wave of whatever size, then LDS, then one atomic per block; and with cooperative groups.
#include "check.h"
#include <hip/hip_cooperative_groups.h>

namespace cg = cooperative_groups;

__global__ void sum(const int *values, int n, int *result) {
    __shared__ int partial[32];
    int total = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) total += values[i];
    for (int offset = warpSize / 2; offset > 0; offset /= 2) total += __shfl_down(total, offset);
    int wave = threadIdx.x / warpSize, lane = threadIdx.x % warpSize;
    if (lane == 0) partial[wave] = total;
    __syncthreads();
    if (wave == 0) {
        total = lane < int(blockDim.x) / warpSize ? partial[lane] : 0;
        for (int offset = 16; offset > 0; offset /= 2) total += __shfl_xor(total, offset, 32);
        if (lane == 0) atomicAdd(result, total);
    }
}

template <int SIZE> __global__ void tile_sums(const int *values, int *sums) {
    auto tile = cg::tiled_partition<SIZE>(cg::this_thread_block());
    int total = values[blockIdx.x * blockDim.x + threadIdx.x];
    for (int offset = SIZE / 2; offset > 0; offset /= 2) total += tile.shfl_down(total, offset);
    if (threadIdx.x % SIZE == 0) sums[(blockIdx.x * blockDim.x + threadIdx.x) / SIZE] = total;
}

template <int SIZE> void check_tiles(const std::vector<int> &values, const int *device) {
    const int tiles = 512 / SIZE;
    int *sums = upload(std::vector<int>(tiles));
    tile_sums<SIZE><<<2, 256>>>(device, sums);
    LAUNCHED();
    std::vector<int> found = download(sums, tiles);
    for (int t = 0; t < tiles; t++) {
        int expected = 0;
        for (int i = 0; i < SIZE; i++) expected += values[t * SIZE + i];
        equal(found[t], expected, "tile", t);
    }
    HIP(hipFree(sums));
}

int main() {
    const int n = 54321;
    Random random;
    std::vector<int> values(n);
    int expected = 0;
    for (int &value : values) value = int(random() % 2001) - 1000, expected += value;
    int *device = upload(values), *result = upload(std::vector<int>(1));
    sum<<<8, 256>>>(device, n, result);
    LAUNCHED();
    equal(download(result, 1)[0], expected, "sum");
    check_tiles<4>(values, device);
    check_tiles<16>(values, device);
    check_tiles<32>(values, device);
    HIP(hipFree(device));
    HIP(hipFree(result));
    std::puts("PASS");
}

//! More rows than a grid has blocks in its second dimension.

use candle_core::{CpuStorage, Layout, Shape};
use hip_loader::candle::QHipStorage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// One more than a part of a launch, and then some.
const ROWS: usize = 65_535 + 37;
const COLUMNS: usize = 256;

/// The rows of a result that are looked at: both sides of the limit, and a sample of the others.
fn sample() -> impl Iterator<Item = usize> {
    (0..ROWS).filter(|row| row % 4001 == 0 || (65_530..65_540).contains(row) || row + 1 == ROWS)
}

#[test]
fn activations_may_have_more_rows_than_a_grid() {
    let (device, mut rng) = (device(WAVE32), ChaCha8Rng::seed_from_u64(11));
    for (dtype, columns, rows) in [(GgmlDType::Q4_0, 32, 3), (GgmlDType::Q6K, COLUMNS, 2)] {
        let tensor = weights(&mut rng, rows, columns, dtype);
        let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), dtype).unwrap();
        let xs = exact(&mut rng, ROWS * columns, 1.0 / 64.0);
        let (out, shape) = storage
            .fwd(
                tensor.shape(),
                &upload(device, CpuStorage::F32(xs.clone())),
                &Layout::contiguous((ROWS, columns)),
            )
            .unwrap();
        assert_eq!(shape.dims(), [ROWS, rows]);
        let (found, dense) = (floats(&out), dense(&tensor));
        for row in sample() {
            let (found, x) = (
                &found[row * rows..][..rows],
                &xs[row * columns..][..columns],
            );
            compare(
                found,
                &dense,
                x,
                columns,
                DType::F32,
                &format!("{dtype:?}, row {row}"),
            );
        }
    }
}

#[test]
fn weights_ids_and_tokens_may_be_more_than_a_grid() {
    let (device, mut rng) = (device(WAVE64), ChaCha8Rng::seed_from_u64(12));
    // Weights, by the vector kernels; and the same rows by their ids, in another order.
    let tensor = weights(&mut rng, ROWS, 32, GgmlDType::Q8_0);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), GgmlDType::Q8_0).unwrap();
    let (x, all) = (exact(&mut rng, 32, 1.0 / 64.0), dense(&tensor));
    let input = upload(device, CpuStorage::F32(x.clone()));
    let (out, _) = storage
        .fwd(
            &Shape::from((ROWS, 32)),
            &input,
            &Layout::contiguous((1, 32)),
        )
        .unwrap();
    let found = floats(&out);
    for row in sample() {
        let (found, dense) = (&found[row..][..1], &all[row * 32..][..32]);
        compare(
            found,
            dense,
            &x,
            32,
            DType::F32,
            &format!("weights, row {row}"),
        );
    }
    let ids: Vec<u32> = (0..ROWS as u32).rev().collect();
    let found = storage
        .embedding(
            ROWS,
            32,
            &upload(device, CpuStorage::U32(ids)),
            &Layout::contiguous(ROWS),
        )
        .unwrap();
    let found = floats(&found);
    for row in sample() {
        let expected = &all[(ROWS - 1 - row) * 32..][..32];
        assert_eq!(&found[row * 32..][..32], expected, "id {row}");
    }

    // Tokens, each with one expert of two.
    let tensor = weights(&mut rng, 2, 32, GgmlDType::Q8_0);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), GgmlDType::Q8_0).unwrap();
    let (xs, all) = (exact(&mut rng, ROWS * 32, 1.0 / 64.0), dense(&tensor));
    let ids: Vec<u32> = (0..ROWS).map(|_| rng.random_range(0..2)).collect();
    let (out, shape) = storage
        .indexed_moe_forward(
            &Shape::from((2, 1, 32)),
            &upload(device, CpuStorage::F32(xs.clone())),
            &Layout::contiguous((ROWS, 1, 32)),
            &upload(device, CpuStorage::U32(ids.clone())),
            &Layout::contiguous((ROWS, 1)),
        )
        .unwrap();
    assert_eq!(shape.dims(), [ROWS, 1, 1]);
    let found = floats(&out);
    for row in sample() {
        let (found, x) = (&found[row..][..1], &xs[row * 32..][..32]);
        let expert = &all[ids[row] as usize * 32..][..32];
        compare(found, expert, x, 32, DType::F32, &format!("token {row}"));
    }
}

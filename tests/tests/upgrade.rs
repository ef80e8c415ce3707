//! Moving from one release of candle-kernels to the next.

mod common;

use common::{arg, run};

#[test]
fn an_upgrade_names_the_kernels_that_are_new_and_changes_nothing_when_asked_not_to() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let ended = run(&[
        "--work-dir",
        arg(scratch.path()),
        "--format",
        "json",
        "upgrade",
        "0.11.1",
        "--from",
        "0.11.0",
        "--dry-run",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = ended.json();
    let changes = &report["changes"];
    let new: Vec<&str> = changes["new_kernels"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|kernel| kernel.as_str())
        .collect();
    assert!(new.contains(&"reduce fast_sum_small_f32"), "{new:?}");
    assert!(
        new.iter().all(
            |kernel| kernel.contains("fast_sum_small_") || kernel.starts_with("moe/moe_align ")
        ),
        "{new:?}"
    );
    assert_eq!(changes["gone_kernels"].as_array().map(Vec::len), Some(0));
    assert_eq!(changes["new_modules"][0], "moe/moe_align");
    assert!(
        changes["constructs"]["moe/moe_align"]
            .to_string()
            .contains("cub/cub.cuh")
    );
    assert_eq!(report["moved"], false);
}

//! What is promised of bundles: the same bytes wherever and however they are built, whoever is killed meanwhile; and of
//! the lock: every cause is named. With the real compiler.

#[path = "../common/mod.rs"]
mod common;

mod launch;
mod lock;
mod pack;
mod robust;

use std::collections::BTreeMap;
use std::path::Path;

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.expect("a readable folder");
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(folder).expect("below it");
            let bytes = std::fs::read(entry.path()).expect("a readable file");
            found.insert(name.to_string_lossy().into_owned(), bytes);
        }
    }
    found
}

/// Asserts that two folders have the same files with the same bytes, and that there are some.
fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert!(!one.is_empty());
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &one {
        assert!(other[name] == *bytes, "{name} differs");
    }
}

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::{Cache, Digest};

fn key(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

#[test]
fn what_was_stored_is_found_until_a_header_changes() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let header = dir.path().join("a.h");
    fs::write(&header, "1").expect("temporary file");
    let folder = dir.path().join("cache");
    let cache = Cache::at(&folder);
    assert!(cache.find(key("k")).is_none());
    let headers = vec![(header.clone(), Digest::of(b"1"))];
    let entry = cache
        .store(key("k"), b"object", 1.5, headers)
        .expect("stored");
    let hit = cache.find(key("k")).expect("stored a moment ago");
    assert_eq!((hit.bytes.as_slice(), &hit.entry), (&b"object"[..], &entry));
    assert!(cache.find(key("another")).is_none());

    fs::write(&header, "2").expect("temporary file");
    assert!(
        Cache::at(&folder).find(key("k")).is_none(),
        "a changed header is a miss"
    );
    assert_eq!(
        Cache::at(&folder).entry(key("k")).map(|e| e.seconds),
        Some(1.5),
        "its time is still known"
    );
    fs::remove_file(&header).expect("own file");
    assert!(
        Cache::at(&folder).find(key("k")).is_none(),
        "a missing header is a miss"
    );
}

#[test]
fn damaged_files_are_misses_and_can_be_stored_again() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let cache = Cache::at(dir.path());
    let entry = cache
        .store(key("k"), b"object", 0.0, Vec::new())
        .expect("stored");
    for damage in [&b"objexx"[..], b"ob", b""] {
        fs::write(cache.object_path(entry.object), damage).expect("own file");
        assert!(cache.find(key("k")).is_none(), "{damage:?}");
        cache
            .store(key("k"), b"object", 0.0, Vec::new())
            .expect("stored");
        assert!(cache.find(key("k")).is_some());
    }
    fs::write(cache.entry_path(key("k")), b"{\"object\":").expect("own file");
    assert!(cache.find(key("k")).is_none());
}

#[test]
fn one_of_many_makes_the_object() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let made = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cache = Cache::at(dir.path());
                let _lock = cache.lock(key("k"), &|| true).expect("a lock");
                if cache.find(key("k")).is_none() {
                    made.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                    cache
                        .store(key("k"), b"object", 0.0, Vec::new())
                        .expect("stored");
                }
            });
        }
    });
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[test]
fn pruning_keeps_what_was_used_last() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let cache = Cache::at(dir.path());
    for (index, name) in ["old", "used", "new"].into_iter().enumerate() {
        let bytes = vec![u8::try_from(index).expect("small"); 100_000];
        let entry = cache
            .store(key(name), &bytes, 0.0, Vec::new())
            .expect("stored");
        let minutes = 60 - 10 * u64::try_from(index).expect("small");
        let then = SystemTime::now() - Duration::from_secs(60 * minutes);
        for path in [cache.object_path(entry.object), cache.entry_path(key(name))] {
            fs::File::options()
                .append(true)
                .open(path)
                .and_then(|f| f.set_modified(then))
                .expect("own file");
        }
    }
    let status = cache.status();
    assert_eq!((status.entries, status.objects), (3, 3));
    assert!(cache.find(key("old")).is_some(), "finding it is using it");
    cache.prune(250_000);
    assert!(cache.find(key("old")).is_some());
    assert!(cache.find(key("new")).is_some());
    assert!(cache.find(key("used")).is_none());
}

#[test]
fn clearing_leaves_foreign_files_alone() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let cache = Cache::at(dir.path());
    assert_eq!(cache.clear().expect("nothing there").objects, 0);
    fs::write(dir.path().join("mine"), "x").expect("temporary file");
    cache
        .store(key("k"), b"object", 0.0, Vec::new())
        .expect("stored");
    assert_eq!(cache.clear().expect("cleared").objects, 1);
    assert!(cache.find(key("k")).is_none());
    assert!(dir.path().join("mine").exists());
}

#[test]
fn clearing_leaves_builds_that_run_their_folders() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let cache = Cache::at(dir.path());
    let store = |name: &str| cache.store(key(name), b"object", 0.0, Vec::new());
    store("k").expect("stored");
    let lock = cache.lock(key("l"), &|| true).expect("a lock");
    let scratch = cache.scratch().expect("a folder");
    fs::write(scratch.path().join("part"), "half").expect("temporary file");
    cache.clear().expect("cleared");
    assert!(cache.find(key("k")).is_none());
    assert!(scratch.path().join("part").exists(), "somebody works in it");
    store("l").expect("stored");
    drop(lock);
    // What a killed build leaves behind is held by nobody.
    let left = scratch.keep();
    assert!(cache.find(key("l")).is_some());
    cache.clear().expect("cleared");
    assert!(!left.exists() && cache.find(key("l")).is_none());
}

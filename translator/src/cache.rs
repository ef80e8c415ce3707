//! A content-addressed store of compiled code objects.
//!
//! Knows keys, objects and files on disk. What goes into a key, and how an object is made, is the business of
//! [`crate::build`].
//!
//! An *entry* is found by its key, the digest of everything that is known before compiling: sources, flags, compiler,
//! target. It names an *object* by the digest of its bytes, and lists the headers outside the project that the
//! compiler read with their digests, which are compared before the entry is believed. So a new libstdc++ is a miss.
//!
//! Files are written beside their place and renamed, and read back against their digest: any number of processes may
//! use one cache at once, and one that is killed leaves nothing half-written. A process that makes the object of a
//! key holds a lock on that key; others that want it wait and then find it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use std::{env, fmt, thread};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

/// Names the cache folder.
pub const CACHE_VARIABLE: &str = "HIPIFY_CACHE_DIR";

/// Bounds the cache, in MiB.
pub const SIZE_VARIABLE: &str = "HIPIFY_CACHE_SIZE";

/// [`SIZE_VARIABLE`] is set to something else than a number.
#[derive(Debug, thiserror::Error)]
#[error(
    "{SIZE_VARIABLE} is `{found}`; it takes the largest size of the cache in MiB, such as 4096"
)]
pub struct SizeError {
    /// What it is set to.
    pub found: String,
}

/// The size, in bytes, that a cache is cut down to: [`SIZE_VARIABLE`], or 4 GiB.
///
/// # Errors
/// [`SizeError`] if the variable is not a number.
pub fn limit() -> Result<u64, SizeError> {
    let mebibytes = match env::var_os(SIZE_VARIABLE).filter(|text| !text.is_empty()) {
        None => 4096_u64,
        Some(text) => {
            let number = text.to_str().and_then(|text| text.parse().ok());
            number.ok_or_else(|| SizeError {
                found: text.to_string_lossy().into_owned(),
            })?
        }
    };
    Ok(mebibytes.saturating_mul(1 << 20))
}

/// Layout of the folder; another layout gets another folder.
const VERSION: &str = "v1";

/// A SHA-256 digest, shown as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        parse_digest(&text)
            .ok_or_else(|| serde::de::Error::custom("a digest is 64 hexadecimal digits"))
    }
}

fn parse_digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, index) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[index..index + 2], 16).ok()?;
    }
    Some(Digest(bytes))
}

/// The cache can't be used.
#[derive(Debug, thiserror::Error)]
#[error("cache: cannot {action} {path}: {source} ({CACHE_VARIABLE} names another folder)")]
pub struct CacheError {
    /// What was tried.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> CacheError + 'a {
    move |source| CacheError {
        action,
        path: path.to_owned(),
        source,
    }
}

/// What an entry says about its object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The object's digest, by which it is stored.
    pub object: Digest,
    /// The object's size in bytes.
    pub size: u64,
    /// How long the compiler took.
    pub seconds: f64,
    /// Headers outside the project's tree that the compiler read.
    pub headers: Vec<(PathBuf, Digest)>,
}

/// An object found in the cache.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The entry that names it.
    pub entry: Entry,
    /// Its bytes, which have the entry's digest.
    pub bytes: Vec<u8>,
}

/// What [`Cache::status`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Entries.
    pub entries: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A cache folder. Folders and files in it are made when something is stored.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    /// Digests of headers, so that a header that every module includes is read once a process.
    headers: Mutex<FxHashMap<PathBuf, Option<Digest>>>,
}

impl Cache {
    /// The cache of this user: [`CACHE_VARIABLE`], else `hipify-candle/objects` in `XDG_CACHE_HOME` or `~/.cache`,
    /// else `cache` in `work_dir`. It lies outside the checkout so that a fresh clone finds what an earlier one built.
    #[must_use]
    pub fn open(work_dir: &Path) -> Self {
        let set = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let user = || {
            let cache =
                set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
            Some(cache.join("hipify-candle/objects"))
        };
        Cache::at(
            set(CACHE_VARIABLE)
                .or_else(user)
                .unwrap_or_else(|| work_dir.join("cache")),
        )
    }

    /// The cache in a known folder.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Cache {
            root: folder.into(),
            headers: Mutex::default(),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.root
    }

    fn place(&self, kind: &str, digest: Digest, extension: &str) -> PathBuf {
        let name = digest.to_string();
        self.root
            .join(VERSION)
            .join(kind)
            .join(&name[..2])
            .join(format!("{name}{extension}"))
    }

    fn entry_path(&self, key: Digest) -> PathBuf {
        self.place("entries", key, ".json")
    }

    fn object_path(&self, object: Digest) -> PathBuf {
        self.place("objects", object, "")
    }

    /// The object of a key, if it is there, whole, and every header that it was made from is unchanged. Whatever is
    /// wrong with the files makes this a miss: the object can always be made again.
    #[must_use]
    pub fn find(&self, key: Digest) -> Option<Hit> {
        let entry = self.entry(key)?;
        if !entry
            .headers
            .iter()
            .all(|(path, digest)| self.header(path) == Some(*digest))
        {
            return None;
        }
        let path = self.object_path(entry.object);
        let bytes = fs::read(&path).ok()?;
        if Digest::of(&bytes) != entry.object {
            // A damaged disk; it would only be found again.
            let _ = fs::remove_file(&path);
            return None;
        }
        touch(&path);
        touch(&self.entry_path(key));
        Some(Hit { entry, bytes })
    }

    /// The entry of a key, whether or not its object is still good: it tells how long the compiler took last time.
    #[must_use]
    pub fn entry(&self, key: Digest) -> Option<Entry> {
        serde_json::from_slice(&fs::read(self.entry_path(key)).ok()?).ok()
    }

    /// The digest of a header as it is now, `None` if it can't be read.
    pub fn header(&self, path: &Path) -> Option<Digest> {
        let mut known = self
            .headers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(digest) = known.get(path) {
            return *digest;
        }
        let digest = fs::read(path).ok().map(|bytes| Digest::of(&bytes));
        known.insert(path.to_owned(), digest);
        digest
    }

    /// Waits until no other process or thread makes the object of `key`, and keeps them from it until the guard is
    /// dropped. After waiting, look again with [`Self::find`]. `None` if it isn't `wanted` any more.
    ///
    /// # Errors
    /// [`CacheError`] if the lock file can't be made.
    pub fn lock(
        &self,
        key: Digest,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<KeyLock>, CacheError> {
        let path = self.place("locks", key, "");
        create_parent(&path)?;
        let file = File::create(&path).map_err(failed("create", &path))?;
        while wanted() {
            match file.try_lock() {
                Ok(()) => return Ok(Some(KeyLock { path, _file: file })),
                // A compiler needs seconds; nobody notices that its end is seen a little later.
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::Error(e)) => return Err(failed("lock", &path)(e)),
            }
        }
        Ok(None)
    }

    /// Stores an object and the entry that names it. The order matters: an entry never names an object that isn't
    /// there.
    ///
    /// # Errors
    /// [`CacheError`] if a file can't be written.
    pub fn store(
        &self,
        key: Digest,
        bytes: &[u8],
        seconds: f64,
        headers: Vec<(PathBuf, Digest)>,
    ) -> Result<Entry, CacheError> {
        let object = Digest::of(bytes);
        let entry = Entry {
            object,
            size: bytes.len() as u64,
            seconds,
            headers,
        };
        let path = self.object_path(object);
        if fs::metadata(&path).is_ok_and(|data| data.len() == entry.size) {
            touch(&path);
        } else {
            write_whole(&path, bytes)?;
        }
        let path = self.entry_path(key);
        let text = serde_json::to_vec(&entry).map_err(|e| failed("write", &path)(e.into()))?;
        write_whole(&path, &text)?;
        Ok(entry)
    }

    /// A new folder for files that come before the object. It is removed when dropped; what a killed process leaves
    /// behind, [`Self::prune`] removes later.
    ///
    /// # Errors
    /// If the folder can't be made.
    pub fn scratch(&self) -> io::Result<tempfile::TempDir> {
        let folder = self.root.join(VERSION).join("scratch");
        fs::create_dir_all(&folder)?;
        tempfile::Builder::new()
            .prefix(".making-")
            .tempdir_in(folder)
    }

    /// Where the build keeps how long jobs took.
    pub(crate) fn times_path(&self) -> PathBuf {
        self.root.join(VERSION).join("times.json")
    }

    /// Counts what is stored.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = Status {
            entries: 0,
            objects: 0,
            bytes: 0,
        };
        for (kind, _, data) in self.files() {
            match kind {
                Stored::Entry => status.entries += 1,
                Stored::Object => status.objects += 1,
                Stored::Abandonable | Stored::Lock | Stored::Kept => {}
            }
            status.bytes += data.len();
        }
        status
    }

    /// Deletes everything that this program ever put into the folder, and nothing else. Builds that run at the same
    /// time go on: what they are making stays, and is stored when it is done.
    ///
    /// # Errors
    /// [`CacheError`] if a file can't be deleted.
    pub fn clear(&self) -> Result<Status, CacheError> {
        let status = self.status();
        // In this order: whoever works in one of these folders has held a lock since before it was there.
        let scratch: Vec<PathBuf> = entries_of(&self.root.join(VERSION).join("scratch"));
        let (mut locks, mut is_busy) = (Vec::new(), false);
        for (kind, path, _) in self.files() {
            match kind {
                Stored::Entry | Stored::Object | Stored::Kept => {
                    gone(fs::remove_file(&path)).map_err(failed("delete", &path))?
                }
                Stored::Lock if is_locked(&path) => is_busy = true,
                Stored::Lock => locks.push(path),
                Stored::Abandonable => {}
            }
        }
        for folder in scratch.iter().filter(|_| !is_busy) {
            gone(fs::remove_dir_all(folder)).map_err(failed("delete", folder))?;
        }
        for lock in locks {
            gone(fs::remove_file(&lock)).map_err(failed("delete", &lock))?;
        }
        Ok(status)
    }

    /// Deletes the objects that were not used for the longest time until at most `limit` bytes are left, and what
    /// processes left behind that were killed. Entries without an object are misses; they go when they are old.
    pub fn prune(&self, limit: u64) {
        let now = SystemTime::now();
        let age = |data: &fs::Metadata| {
            let used = data.modified().unwrap_or(now);
            now.duration_since(used).unwrap_or_default()
        };
        let mut files: Vec<_> = self
            .files()
            .map(|(kind, path, data)| (age(&data), kind, path, data.len()))
            .collect();
        files.sort_by_key(|(age, ..)| *age);
        let mut total = 0;
        for (age, kind, path, size) in files {
            let keep = match kind {
                Stored::Object | Stored::Entry => {
                    let fits = total + size <= limit;
                    total += if fits { size } else { 0 };
                    fits
                }
                Stored::Abandonable | Stored::Lock => age < ABANDONED,
                Stored::Kept => true,
            };
            if !keep {
                let _ = fs::remove_file(path);
            }
        }
        // Folders that are empty by now; one with files in it stays.
        for folder in entries_of(&self.root.join(VERSION).join("scratch")) {
            if fs::metadata(&folder).is_ok_and(|data| age(&data) >= ABANDONED) {
                let _ = fs::remove_dir(folder);
            }
        }
    }

    fn files(&self) -> impl Iterator<Item = (Stored, PathBuf, fs::Metadata)> {
        let root = self.root.join(VERSION);
        WalkDir::new(&root)
            .into_iter()
            .flatten()
            .filter_map(move |entry| {
                let data = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                let below = entry.path().strip_prefix(&root).ok()?;
                let name = entry.file_name().to_string_lossy();
                let kind = match below.components().next()?.as_os_str().to_str()? {
                    // A file on its way to its place.
                    _ if name.starts_with('.') => Stored::Abandonable,
                    "entries" => Stored::Entry,
                    "objects" => Stored::Object,
                    "locks" => Stored::Lock,
                    "scratch" => Stored::Abandonable,
                    _ => Stored::Kept,
                };
                Some((kind, entry.into_path(), data))
            })
    }
}

/// How old a lock or temporary file is that certainly nobody uses.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Entry,
    Object,
    Lock,
    Abandonable,
    Kept,
}

/// What is in a folder; nothing if there is no such folder.
fn entries_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Whether somebody holds this lock.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// That a file is not there is what was asked for.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The right to make the object of one key.
#[derive(Debug)]
pub struct KeyLock {
    path: PathBuf,
    _file: File,
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // Whoever waits has the file open and gets the lock; whoever comes later makes a new one. At worst both make
        // the same object.
        let _ = fs::remove_file(&self.path);
    }
}

/// Notes that a file was used.
fn touch(path: &Path) {
    // Reading is all that is asked for; in a cache on a read-only disk the order of use is lost, no more.
    if let Ok(file) = File::options().append(true).open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

fn create_parent(path: &Path) -> Result<(), CacheError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed("create", parent))
}

/// Writes a file so that others see the old one, or none, or the whole new one.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    create_parent(path)?;
    crate::files::write_whole(path, bytes).map_err(failed("write", path))
}

#[cfg(test)]
mod tests;

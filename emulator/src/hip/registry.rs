//! Objects that were handed out, by their handles.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use super::ffi::Handle;
use super::status::{Code, Outcome};

/// Handles look like this: no canonical address on x86-64 or AArch64, so that a client that dereferences one stops at once.
const HANDLE_BASE: usize = 0x4849_5000_0000_0000;

/// Numbers are never given twice: a stale handle finds nothing, not another object.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// The objects of one kind.
pub struct Registry<K, T> {
    /// How messages call an object.
    what: &'static str,
    objects: RwLock<FxHashMap<usize, Arc<T>>>,
    kind: PhantomData<fn() -> K>,
}

impl<K, T> Registry<K, T> {
    /// A registry without objects.
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            objects: RwLock::default(),
            kind: PhantomData,
        }
    }

    /// A handle that no object has.
    pub fn fresh() -> Handle<K> {
        Handle::new(HANDLE_BASE + NEXT.fetch_add(1, Ordering::Relaxed) * 16)
    }

    /// Adds an object.
    pub fn insert(&self, object: Arc<T>) -> Handle<K> {
        let handle = Self::fresh();
        self.insert_as(handle, object);
        handle
    }

    /// Adds an object under a handle from [`fresh`](Self::fresh), for objects that know their own.
    pub fn insert_as(&self, handle: Handle<K>, object: Arc<T>) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects.insert(handle.0, object);
    }

    /// The object with this handle.
    ///
    /// # Errors
    /// `hipErrorInvalidHandle` if there is none.
    pub fn get(&self, handle: Handle<K>) -> Outcome<Arc<T>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects
            .get(&handle.0)
            .cloned()
            .ok_or_else(|| self.unknown(handle))
    }

    /// The handle of an object.
    ///
    /// # Errors
    /// `hipErrorInvalidHandle` if it was taken out.
    pub fn handle_of(&self, object: &Arc<T>) -> Outcome<Handle<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let found = objects.iter().find(|(_, other)| Arc::ptr_eq(other, object));
        let gone = || Code::InvalidHandle.because(format!("the {} was destroyed", self.what));
        found
            .map(|(number, _)| Handle::new(*number))
            .ok_or_else(gone)
    }

    /// Takes the object with this handle out. It lives on as long as somebody uses it.
    ///
    /// # Errors
    /// `hipErrorInvalidHandle` if there is none.
    pub fn remove(&self, handle: Handle<K>) -> Outcome<Arc<T>> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects
            .remove(&handle.0)
            .ok_or_else(|| self.unknown(handle))
    }

    /// Takes out all objects that are not wanted any more.
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<usize> = objects
            .iter()
            .filter(|(_, object)| !keep(object))
            .map(|(number, _)| *number)
            .collect();
        let gone: Vec<_> = gone
            .into_iter()
            .filter_map(|number| objects.remove(&number))
            .collect();
        // Objects are dropped without the lock: they may hold others that come here.
        drop(objects);
        drop(gone);
    }

    /// All objects.
    pub fn all(&self) -> Vec<Arc<T>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.values().cloned().collect()
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.objects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    fn unknown(&self, handle: Handle<K>) -> super::status::Failure {
        Code::InvalidHandle.because(format!("{handle:?} is no {} of this process", self.what))
    }
}

//! Objects of the client that live as long as graphs use them.

use std::ffi::{c_uint, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use super::call::hip_api;
use super::ffi::{GraphHandle, Out, UserObjectHandle};
use super::runtime::get;
use super::status::{Code, Outcome};
use super::types::hipHostFn_t;

/// `hipUserObjectNoDestructorSync`, the one flag, which has to be given.
const NO_DESTRUCTOR_SYNC: c_uint = 1;
/// `hipGraphUserObjectMove`: the graph takes the caller's references.
const MOVE: c_uint = 1;

/// An object of the client, destroyed when nobody refers to it any more.
pub struct UserObject {
    object: usize,
    destroy: unsafe extern "C" fn(*mut c_void),
    /// References, those of graphs included.
    count: Mutex<u64>,
}

/// The references that a graph holds. Cloning it, as an executable graph does, takes as many again.
pub struct Reference {
    object: Arc<UserObject>,
    handle: UserObjectHandle,
    count: u64,
}

impl UserObject {
    fn retain(&self, count: u64) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += count;
    }

    /// Gives references back; the last one destroys the object. Says whether it did.
    fn release(&self, count: u64) -> Outcome<bool> {
        let mut left = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let less = left.checked_sub(count);
        *left = less.ok_or_else(|| {
            Code::InvalidValue.because(format!("{count} references of {}", *left))
        })?;
        let is_last = *left == 0;
        drop(left);
        if is_last {
            // SAFETY: the client gave the function together with what it is to be called with, for this moment.
            unsafe { (self.destroy)(self.object as *mut c_void) };
        }
        Ok(is_last)
    }
}

impl Clone for Reference {
    fn clone(&self) -> Self {
        self.object.retain(self.count);
        Self {
            object: Arc::clone(&self.object),
            handle: self.handle,
            count: self.count,
        }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // A reference was counted when it was taken.
        if self.count > 0 && self.object.release(self.count) == Ok(true) {
            let _ = get().user_objects.remove(self.handle);
        }
    }
}

hip_api! {
    fn hipUserObjectCreate(
        object_out: Out<UserObjectHandle>,
        ptr: *mut c_void,
        destroy: hipHostFn_t,
        initialRefcount: c_uint,
        flags: c_uint,
    ) {
        object_out.check()?;
        let destroy = destroy.ok_or_else(|| Code::InvalidValue.because("the destructor is null"))?;
        if initialRefcount == 0 || flags != NO_DESTRUCTOR_SYNC {
            return Err(Code::InvalidValue.because(format!("{initialRefcount} references, flags {flags:#x}")));
        }
        let object = UserObject {
            object: ptr as usize,
            destroy,
            count: Mutex::new(u64::from(initialRefcount)),
        };
        object_out.set(get().user_objects.insert(Arc::new(object)))
    }

    fn hipUserObjectRetain(object: UserObjectHandle, count: c_uint) {
        check_count(count)?;
        get().user_objects.get(object)?.retain(u64::from(count));
        Ok(())
    }

    fn hipUserObjectRelease(object: UserObjectHandle, count: c_uint) {
        check_count(count)?;
        if get().user_objects.get(object)?.release(u64::from(count))? {
            get().user_objects.remove(object)?;
        }
        Ok(())
    }

    fn hipGraphRetainUserObject(graph: GraphHandle, object: UserObjectHandle, count: c_uint, flags: c_uint) {
        check_count(count)?;
        if flags & !MOVE != 0 {
            return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
        }
        let graph = get().graphs.get(graph)?;
        let (handle, object) = (object, get().user_objects.get(object)?);
        let count = u64::from(count);
        if flags & MOVE == 0 {
            object.retain(count);
        }
        graph.user_objects().push(Reference { object, handle, count });
        Ok(())
    }

    fn hipGraphReleaseUserObject(graph: GraphHandle, object: UserObjectHandle, count: c_uint) {
        check_count(count)?;
        let graph = get().graphs.get(graph)?;
        let mut references = graph.user_objects();
        let mut wanted = u64::from(count);
        let held: u64 = references.iter().filter(|held| held.handle == object).map(|held| held.count).sum();
        if held < wanted {
            return Err(Code::InvalidValue.because(format!("the graph has {held} references")));
        }
        for held in references.iter_mut().filter(|held| held.handle == object) {
            let released = wanted.min(held.count);
            wanted -= released;
            held.count -= released;
            if held.object.release(released)? {
                get().user_objects.remove(object)?;
            }
        }
        references.retain(|held| held.count > 0);
        Ok(())
    }
}

fn check_count(count: c_uint) -> Outcome {
    match count {
        1..=0x7fff_ffff => Ok(()),
        _ => Err(Code::InvalidValue.because(format!("{count} references"))),
    }
}

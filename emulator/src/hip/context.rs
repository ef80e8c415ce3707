//! Contexts and peers. A device has one context, its primary one, as in HIP's own runtime: making a context current is
//! making its device current.

use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::call::hip_api;
use super::device::{Device, check_bank_config, check_cache_config};
use super::ffi::{ContextHandle, Out};
use super::runtime::{self, current, device, get};
use super::status::{Code, Outcome};

thread_local! {
    /// The contexts that this thread pushed, by the ordinals of their devices.
    static STACK: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The handles of contexts count from here: addresses that no pointer has.
const FIRST_CONTEXT: usize = 0x4849_5043_0000_0000;

fn context_of(device: &Device) -> ContextHandle {
    ContextHandle::new(FIRST_CONTEXT + (device.index() as usize + 1) * 16)
}

/// The device that a context belongs to.
fn device_of(context: ContextHandle) -> Outcome<&'static Device> {
    let device = get()
        .devices
        .iter()
        .find(|device| context_of(device) == context);
    device.ok_or_else(|| Code::InvalidContext.because(format!("{context:?} is no context")))
}

fn push(device: &Device) {
    STACK.with_borrow_mut(|stack| {
        if stack.is_empty() {
            // What is current now comes back when the new one is popped.
            stack.push(runtime::current_index());
        }
        stack.push(device.index() as usize);
    });
    runtime::set_current(device.index() as usize);
}

hip_api! {
    fn hipCtxCreate(ctx: Out<ContextHandle>, flags: u32, deviceId: c_int) {
        let _ = flags;
        ctx.check()?;
        let device = device(deviceId)?;
        push(device);
        ctx.set(context_of(device))
    }

    fn hipCtxDestroy(ctx: ContextHandle) {
        let device = device_of(ctx)?;
        STACK.with_borrow_mut(|stack| {
            if stack.last() == Some(&(device.index() as usize)) {
                stack.pop();
            }
            if let Some(top) = stack.last() {
                runtime::set_current(*top);
            }
        });
        Ok(())
    }

    fn hipCtxPushCurrent(ctx: ContextHandle) {
        push(device_of(ctx)?);
        Ok(())
    }

    fn hipCtxPopCurrent(ctx: Out<ContextHandle>) {
        let popped = STACK.with_borrow_mut(|stack| {
            let popped = if stack.len() > 1 { stack.pop() } else { None };
            if let Some(top) = stack.last() {
                runtime::set_current(*top);
            }
            popped
        });
        let popped = popped.ok_or_else(|| Code::InvalidContext.because("no context was pushed"))?;
        ctx.set_if_wanted(context_of(device(popped as c_int)?));
        Ok(())
    }

    fn hipCtxSetCurrent(ctx: ContextHandle) {
        if ctx.is_null() {
            STACK.with_borrow_mut(|stack| if stack.len() > 1 { stack.pop() } else { None });
            return Ok(());
        }
        let device = device_of(ctx)?;
        runtime::set_current(device.index() as usize);
        STACK.with_borrow_mut(|stack| {
            if let Some(top) = stack.last_mut() {
                *top = device.index() as usize;
            }
        });
        Ok(())
    }

    fn hipCtxGetCurrent(ctx: Out<ContextHandle>) {
        ctx.check()?;
        ctx.set(context_of(current()?))
    }

    fn hipCtxGetDevice(deviceOut: Out<c_int>) {
        deviceOut.check()?;
        deviceOut.set(current()?.index() as c_int)
    }

    fn hipCtxGetApiVersion(ctx: ContextHandle, apiVersion: Out<c_int>) {
        apiVersion.check()?;
        if !ctx.is_null() {
            device_of(ctx)?;
        }
        apiVersion.set(4)
    }

    fn hipCtxGetFlags(flags: Out<u32>) {
        flags.check()?;
        current()?;
        flags.set(0)
    }

    fn hipCtxGetCacheConfig(cacheConfig: Out<c_int>) {
        current()?;
        cacheConfig.set(0)
    }

    fn hipCtxSetCacheConfig(cacheConfig: c_int) {
        current()?;
        check_cache_config(cacheConfig)
    }

    fn hipCtxGetSharedMemConfig(pConfig: Out<c_int>) {
        current()?;
        pConfig.set(1)
    }

    fn hipCtxSetSharedMemConfig(config: c_int) {
        current()?;
        check_bank_config(config)
    }

    fn hipCtxSynchronize() {
        runtime::usable()?.synchronize()
    }

    fn hipDevicePrimaryCtxRetain(pctx: Out<ContextHandle>, deviceId: c_int) {
        pctx.check()?;
        let device = device(deviceId)?;
        device.retained.fetch_add(1, Ordering::Relaxed);
        pctx.set(context_of(device))
    }

    fn hipDevicePrimaryCtxRelease(deviceId: c_int) {
        let device = device(deviceId)?;
        let less = device.retained.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        less.map(drop).map_err(|_| Code::InvalidContext.because("the primary context is not retained"))
    }

    fn hipDevicePrimaryCtxReset(deviceId: c_int) {
        device(deviceId).map(drop)
    }

    fn hipDevicePrimaryCtxGetState(deviceId: c_int, flags: Out<u32>, active: Out<c_int>) {
        let device = device(deviceId)?;
        flags.set_if_wanted(0);
        active.set_if_wanted(c_int::from(device.retained.load(Ordering::Relaxed) > 0));
        Ok(())
    }

    fn hipDevicePrimaryCtxSetFlags(deviceId: c_int, flags: u32) {
        let _ = flags;
        device(deviceId)?;
        Err(Code::ContextAlreadyInUse.because("the primary context is always active"))
    }

    fn hipDeviceCanAccessPeer(canAccessPeer: Out<c_int>, deviceId: c_int, peerDeviceId: c_int) {
        canAccessPeer.check()?;
        let (a, b) = (device(deviceId)?, device(peerDeviceId)?);
        canAccessPeer.set(c_int::from(a.index() != b.index()))
    }

    fn hipDeviceEnablePeerAccess(peerDeviceId: c_int, flags: u32) {
        enable_peer(device(peerDeviceId)?, flags)
    }

    fn hipDeviceDisablePeerAccess(peerDeviceId: c_int) {
        disable_peer(device(peerDeviceId)?)
    }

    fn hipCtxEnablePeerAccess(peerCtx: ContextHandle, flags: u32) {
        enable_peer(device_of(peerCtx)?, flags)
    }

    fn hipCtxDisablePeerAccess(peerCtx: ContextHandle) {
        disable_peer(device_of(peerCtx)?)
    }

    fn hipDeviceGetP2PAttribute(value: Out<c_int>, attr: c_int, srcDevice: c_int, dstDevice: c_int) {
        value.check()?;
        let (src, dst) = (device(srcDevice)?, device(dstDevice)?);
        if src.index() == dst.index() {
            return Err(Code::InvalidDevice.because("one device is no pair of peers"));
        }
        value.set(match attr {
            0 => 0,     // hipDevP2PAttrPerformanceRank
            1 | 2 => 1, // hipDevP2PAttrAccessSupported, hipDevP2PAttrNativeAtomicSupported
            3 => 0,     // hipDevP2PAttrHipArrayAccessSupported
            _ => return Err(Code::InvalidValue.because(format!("attribute {attr}"))),
        })
    }

    fn hipExtGetLinkTypeAndHopCount(device1: c_int, device2: c_int, linktype: Out<u32>, hopcount: Out<u32>) {
        linktype.check()?;
        hopcount.check()?;
        if device(device1)?.index() == device(device2)?.index() {
            return Err(Code::InvalidValue.because("one device is no pair of peers"));
        }
        /// `HSA_AMD_LINK_INFO_TYPE_PCIE`.
        const PCIE: u32 = 2;
        linktype.set(PCIE)?;
        hopcount.set(1)
    }
}

fn enable_peer(peer: &Device, flags: u32) -> Outcome {
    let here = current()?;
    if flags != 0 {
        return Err(Code::InvalidValue.because("flags must be zero"));
    }
    if here.index() == peer.index() {
        return Err(Code::InvalidDevice.because("a device is not its own peer"));
    }
    let mut peers = here.peers.lock().unwrap_or_else(PoisonError::into_inner);
    if peers.contains(&peer.index()) {
        return Err(Code::PeerAccessAlreadyEnabled.into());
    }
    peers.push(peer.index());
    Ok(())
}

fn disable_peer(peer: &Device) -> Outcome {
    let mut peers = current()?
        .peers
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let Some(place) = peers.iter().position(|index| *index == peer.index()) else {
        return Err(Code::PeerAccessNotEnabled.into());
    };
    peers.swap_remove(place);
    Ok(())
}

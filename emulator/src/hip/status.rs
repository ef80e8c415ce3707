//! HIP's error codes, and the failures that end a call.

use std::ffi::CStr;
use std::fmt;

/// A `hipError_t`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Code(pub i32);

/// A row of the table of errors.
struct Row {
    code: Code,
    name: &'static CStr,
    text: &'static CStr,
}

macro_rules! codes {
    ($($constant:ident = $value:literal, $name:literal, $text:literal;)*) => {
        #[expect(non_upper_case_globals, reason = "spelled as in the HIP headers, without the prefix")]
        #[allow(missing_docs, reason = "the text of each code is its documentation")]
        impl Code {
            $(#[doc = $text] pub const $constant: Code = Code($value);)*
        }

        /// Every code, in ascending order.
        static ROWS: &[Row] = &[$(Row {
            code: Code($value),
            name: match CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name without a zero byte"),
            },
            text: match CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                Ok(text) => text,
                Err(_) => panic!("a text without a zero byte"),
            },
        }),*];
    };
}

codes! {
    Success = 0, "hipSuccess", "no error";
    InvalidValue = 1, "hipErrorInvalidValue", "invalid argument";
    OutOfMemory = 2, "hipErrorOutOfMemory", "out of memory";
    NotInitialized = 3, "hipErrorNotInitialized", "initialization error";
    Deinitialized = 4, "hipErrorDeinitialized", "driver shutting down";
    ProfilerDisabled = 5, "hipErrorProfilerDisabled", "profiler disabled while using external profiling tool";
    ProfilerNotInitialized = 6, "hipErrorProfilerNotInitialized", "profiler is not initialized";
    ProfilerAlreadyStarted = 7, "hipErrorProfilerAlreadyStarted", "profiler already started";
    ProfilerAlreadyStopped = 8, "hipErrorProfilerAlreadyStopped", "profiler already stopped";
    InvalidConfiguration = 9, "hipErrorInvalidConfiguration", "invalid configuration argument";
    InvalidPitchValue = 12, "hipErrorInvalidPitchValue", "invalid pitch argument";
    InvalidSymbol = 13, "hipErrorInvalidSymbol", "invalid device symbol";
    InvalidDevicePointer = 17, "hipErrorInvalidDevicePointer", "invalid device pointer";
    InvalidMemcpyDirection = 21, "hipErrorInvalidMemcpyDirection", "invalid copy direction for memcpy";
    InsufficientDriver = 35, "hipErrorInsufficientDriver", "driver version is insufficient for runtime version";
    MissingConfiguration = 52, "hipErrorMissingConfiguration", "__global__ function call is not configured";
    PriorLaunchFailure = 53, "hipErrorPriorLaunchFailure", "unspecified launch failure in prior launch";
    InvalidDeviceFunction = 98, "hipErrorInvalidDeviceFunction", "invalid device function";
    NoDevice = 100, "hipErrorNoDevice", "no ROCm-capable device is detected";
    InvalidDevice = 101, "hipErrorInvalidDevice", "invalid device ordinal";
    InvalidImage = 200, "hipErrorInvalidImage", "device kernel image is invalid";
    InvalidContext = 201, "hipErrorInvalidContext", "invalid device context";
    ContextAlreadyCurrent = 202, "hipErrorContextAlreadyCurrent", "context is already current context";
    MapFailed = 205, "hipErrorMapFailed", "mapping of buffer object failed";
    UnmapFailed = 206, "hipErrorUnmapFailed", "unmapping of buffer object failed";
    ArrayIsMapped = 207, "hipErrorArrayIsMapped", "array is mapped";
    AlreadyMapped = 208, "hipErrorAlreadyMapped", "resource already mapped";
    NoBinaryForGpu = 209, "hipErrorNoBinaryForGpu", "no kernel image is available for execution on the device";
    AlreadyAcquired = 210, "hipErrorAlreadyAcquired", "resource already acquired";
    NotMapped = 211, "hipErrorNotMapped", "resource not mapped";
    NotMappedAsArray = 212, "hipErrorNotMappedAsArray", "resource not mapped as array";
    NotMappedAsPointer = 213, "hipErrorNotMappedAsPointer", "resource not mapped as pointer";
    ECCNotCorrectable = 214, "hipErrorECCNotCorrectable", "uncorrectable ECC error encountered";
    UnsupportedLimit = 215, "hipErrorUnsupportedLimit", "limit is not supported on this architecture";
    ContextAlreadyInUse = 216, "hipErrorContextAlreadyInUse", "exclusive-thread device already in use by a different thread";
    PeerAccessUnsupported = 217, "hipErrorPeerAccessUnsupported", "peer access is not supported between these two devices";
    InvalidKernelFile = 218, "hipErrorInvalidKernelFile", "invalid kernel file";
    InvalidGraphicsContext = 219, "hipErrorInvalidGraphicsContext", "invalid OpenGL or DirectX context";
    InvalidSource = 300, "hipErrorInvalidSource", "device kernel image is invalid";
    FileNotFound = 301, "hipErrorFileNotFound", "file not found";
    SharedObjectSymbolNotFound = 302, "hipErrorSharedObjectSymbolNotFound", "shared object symbol not found";
    SharedObjectInitFailed = 303, "hipErrorSharedObjectInitFailed", "shared object initialization failed";
    OperatingSystem = 304, "hipErrorOperatingSystem", "OS call failed or operation not supported on this OS";
    InvalidHandle = 400, "hipErrorInvalidHandle", "invalid resource handle";
    IllegalState = 401, "hipErrorIllegalState", "the operation cannot be performed in the present state";
    NotFound = 500, "hipErrorNotFound", "named symbol not found";
    NotReady = 600, "hipErrorNotReady", "device not ready";
    IllegalAddress = 700, "hipErrorIllegalAddress", "an illegal memory access was encountered";
    LaunchOutOfResources = 701, "hipErrorLaunchOutOfResources", "too many resources requested for launch";
    LaunchTimeOut = 702, "hipErrorLaunchTimeOut", "the launch timed out and was terminated";
    PeerAccessAlreadyEnabled = 704, "hipErrorPeerAccessAlreadyEnabled", "peer access is already enabled";
    PeerAccessNotEnabled = 705, "hipErrorPeerAccessNotEnabled", "peer access has not been enabled";
    SetOnActiveProcess = 708, "hipErrorSetOnActiveProcess", "cannot set while device is active in this process";
    ContextIsDestroyed = 709, "hipErrorContextIsDestroyed", "context is destroyed";
    Assert = 710, "hipErrorAssert", "device-side assert triggered";
    HostMemoryAlreadyRegistered = 712, "hipErrorHostMemoryAlreadyRegistered", "part or all of the requested memory range is already mapped";
    HostMemoryNotRegistered = 713, "hipErrorHostMemoryNotRegistered", "pointer does not correspond to a registered memory region";
    LaunchFailure = 719, "hipErrorLaunchFailure", "unspecified launch failure";
    CooperativeLaunchTooLarge = 720, "hipErrorCooperativeLaunchTooLarge", "too many blocks in cooperative launch";
    NotSupported = 801, "hipErrorNotSupported", "operation not supported";
    StreamCaptureUnsupported = 900, "hipErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing";
    StreamCaptureInvalidated = 901, "hipErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture";
    StreamCaptureMerge = 902, "hipErrorStreamCaptureMerge", "operation would result in a merge of separate capture sequences";
    StreamCaptureUnmatched = 903, "hipErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began";
    StreamCaptureUnjoined = 904, "hipErrorStreamCaptureUnjoined", "capturing stream has unjoined work";
    StreamCaptureIsolation = 905, "hipErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream";
    StreamCaptureImplicit = 906, "hipErrorStreamCaptureImplicit", "operation would make the legacy stream depend on a capturing blocking stream";
    CapturedEvent = 907, "hipErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream";
    StreamCaptureWrongThread = 908, "hipErrorStreamCaptureWrongThread", "attempt to terminate a thread-local capture sequence from another thread";
    GraphExecUpdateFailure = 910, "hipErrorGraphExecUpdateFailure", "the graph update was not performed because it included changes which violated constraints specific to instantiated graph update";
    InvalidChannelDescriptor = 911, "hipErrorInvalidChannelDescriptor", "invalid channel descriptor";
    InvalidTexture = 912, "hipErrorInvalidTexture", "invalid texture";
    Unknown = 999, "hipErrorUnknown", "unknown error";
    RuntimeMemory = 1052, "hipErrorRuntimeMemory", "runtime memory call returned error";
    RuntimeOther = 1053, "hipErrorRuntimeOther", "runtime call other than memory returned error";
    Tbd = 1054, "hipErrorTbd", "this error code is not yet assigned";
}

impl Code {
    fn row(self) -> Option<&'static Row> {
        let index = ROWS.binary_search_by_key(&self.0, |row| row.code.0).ok()?;
        Some(&ROWS[index])
    }

    /// Whether the headers define this value.
    pub fn is_known(self) -> bool {
        self.row().is_some()
    }

    /// The name of the enumerator; `hipErrorUnknown` for a value that is none.
    pub fn name(self) -> &'static CStr {
        self.row().map_or(c"hipErrorUnknown", |row| row.name)
    }

    /// What it means; `unknown error` for a value that is none.
    pub fn text(self) -> &'static CStr {
        self.row().map_or(c"unknown error", |row| row.text)
    }

    /// The code with this name, or this number in digits.
    pub fn parse(text: &str) -> Option<Self> {
        let by_name = ROWS
            .iter()
            .find(|row| row.name.to_bytes() == text.as_bytes());
        by_name.map(|row| row.code).or_else(|| {
            let code = Code(text.parse().ok()?);
            code.is_known().then_some(code)
        })
    }

    /// Whether a device that met this error is unusable until it is reset.
    pub fn is_sticky(self) -> bool {
        [
            Self::IllegalAddress,
            Self::LaunchFailure,
            Self::LaunchTimeOut,
            Self::Assert,
            Self::ECCNotCorrectable,
        ]
        .contains(&self)
    }

    /// A failure with this code and the reason, for people who read the log.
    pub fn because(self, reason: impl Into<String>) -> Failure {
        Failure {
            code: self,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row() {
            Some(row) => f.write_str(&row.name.to_string_lossy()),
            None => write!(f, "hipError_t {}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a call fails: the code that the client gets, and the reason that the log tells.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}{}{reason}", if reason.is_empty() { "" } else { ": " })]
pub struct Failure {
    /// What the call returns.
    pub code: Code,
    /// What was wrong, in words.
    pub reason: String,
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self {
            code,
            reason: String::new(),
        }
    }
}

/// What the body of a call returns.
pub type Outcome<T = ()> = Result<T, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_by_value_and_by_name() {
        assert!(ROWS.is_sorted_by_key(|row| row.code.0));
        for row in ROWS {
            assert_eq!(row.code.name(), row.name);
            assert_eq!(Code::parse(&row.code.to_string()), Some(row.code));
            assert_eq!(Code::parse(&row.code.0.to_string()), Some(row.code));
        }
        assert_eq!(Code(12345).name(), c"hipErrorUnknown");
        assert_eq!(Code::parse("hipErrorNoSuchThing"), None);
        assert_eq!(Code::parse("12345"), None);
    }
}

//! AMDGPU code objects and clang offload bundles.

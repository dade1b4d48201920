//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator with counters. A program that counts makes it its `#[global_allocator]`.
pub struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

/// What was asked of the allocator so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocations {
    /// Calls that gave memory; growing a block is one more.
    pub calls: usize,
    /// Bytes that were asked for.
    pub bytes: usize,
    /// Bytes that are in use.
    pub live: usize,
}

impl Allocations {
    #[must_use]
    pub fn now() -> Self {
        let (calls, bytes, freed) = (CALLS.load(Relaxed), ASKED.load(Relaxed), FREED.load(Relaxed));
        Self { calls, bytes, live: bytes.wrapping_sub(freed) }
    }

    /// Calls and bytes since `before`, and by how much more memory is in use.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            bytes: self.bytes - before.bytes,
            live: self.live.wrapping_sub(before.live),
        }
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        ASKED.fetch_add(layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        ASKED.fetch_add(layout.size(), Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        FREED.fetch_add(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        ASKED.fetch_add(size, Relaxed);
        FREED.fetch_add(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

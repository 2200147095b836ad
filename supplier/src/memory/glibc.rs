//! Unless it is told otherwise, glibc has a heap for every few threads, and keeps in each what was freed there.

use libc::{M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD};

/// What is larger than this gets pages of its own, which go with it.
const LARGE: i32 = 64 << 10;

/// One heap for all threads, with little kept at its end. To be called before the first thread is started.
pub fn stay_small() {
    for (option, value) in [(M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, LARGE)] {
        // SAFETY: it takes two numbers, and no other thread runs yet.
        unsafe { libc::mallopt(option, value) };
    }
}

/// Every whole page that is free.
pub(super) fn give_back() {
    // SAFETY: it takes a number, and the heap's own lock.
    unsafe { libc::malloc_trim(0) };
}

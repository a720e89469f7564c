//! Tasks of a shard stay on its thread.

use hyper::rt::Executor;
use std::future::Future;

/// Runs hyper's background work on the current thread's `LocalSet`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalExecutor;

impl<F> Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

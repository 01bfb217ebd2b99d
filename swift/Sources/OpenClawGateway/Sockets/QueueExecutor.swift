#if canImport(Glibc)
    import Dispatch

    /// Runs an actor on a dispatch queue, so that handlers of dispatch sources on the same queue are inside
    /// the actor, and none of its work takes a thread of the cooperative pool.
    final class QueueExecutor: SerialExecutor {
        let queue: DispatchQueue

        init(_ label: String) {
            queue = DispatchQueue(label: label)
        }

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
        }

        func asUnownedSerialExecutor() -> UnownedSerialExecutor {
            UnownedSerialExecutor(ordinary: self)
        }

        func checkIsolated() {
            dispatchPrecondition(condition: .onQueue(queue))
        }
    }
#endif

#if canImport(Glibc)
    import Dispatch
    import Foundation
    import Glibc

    /// An IP address with a port, as the system has it.
    struct NetworkAddress: Sendable {
        let family: Int32
        private let bytes: [UInt8]

        /// Begins to connect; the result is that of the system call.
        func connect(_ descriptor: Int32) -> Int32 {
            bytes.withUnsafeBytes { raw in
                guard let address = raw.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return -1 }
                return Glibc.connect(descriptor, address, socklen_t(raw.count))
            }
        }

        /// The addresses of a host, in the order in which they should be tried. A name is looked up on a
        /// thread of its own, since the system's call blocks; cancelling ends the waiting, not the lookup.
        /// Throws ``SocketError/unreachable(_:)``.
        static func all(of host: String, port: UInt16) async throws -> [NetworkAddress] {
            if case .success(let addresses) = look(up: host, port, flags: AI_NUMERICHOST) { return addresses }
            let lookup = Lookup()
            return try await withTaskCancellationHandler {
                try await lookup.result(of: host, port)
            } onCancel: {
                Task { await lookup.end(.failure(CancellationError())) }
            }
        }

        fileprivate static func look(up host: String, _ port: UInt16, flags: Int32) -> Result<[NetworkAddress], any Error> {
            var hints = addrinfo()
            hints.ai_family = AF_UNSPEC
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            hints.ai_flags = flags | AI_NUMERICSERV
            var list: UnsafeMutablePointer<addrinfo>?
            let code = getaddrinfo(host, String(port), &hints, &list)
            guard code == 0 else { return .failure(SocketError.unreachable(String(cString: gai_strerror(code)))) }
            defer { freeaddrinfo(list) }
            let entries = sequence(first: list) { $0?.pointee.ai_next }.prefix { $0 != nil }
            return .success(entries.compactMap { $0?.pointee }.compactMap { entry in
                entry.ai_addr.map { address in
                    let raw = UnsafeRawBufferPointer(start: address, count: Int(entry.ai_addrlen))
                    return NetworkAddress(family: entry.ai_family, bytes: Array(raw))
                }
            })
        }
    }

    /// One lookup of a name, with whoever waits for it.
    private actor Lookup {
        private var outcome: Result<[NetworkAddress], any Error>?
        private var waiting: CheckedContinuation<[NetworkAddress], any Error>?

        func result(of host: String, _ port: UInt16) async throws -> [NetworkAddress] {
            DispatchQueue.global().async {
                let outcome = NetworkAddress.look(up: host, port, flags: 0)
                Task { await self.end(outcome) }
            }
            return try await withCheckedThrowingContinuation { waiting in
                if let outcome { waiting.resume(with: outcome) } else { self.waiting = waiting }
            }
        }

        /// The first outcome counts.
        func end(_ outcome: Result<[NetworkAddress], any Error>) {
            if self.outcome == nil { self.outcome = outcome }
            waiting?.resume(with: outcome)
            waiting = nil
        }
    }
#endif

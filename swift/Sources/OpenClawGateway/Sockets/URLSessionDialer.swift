#if canImport(Darwin)
    import Foundation

    /// Opens WebSockets with `URLSession`, with TLS as the system and the session's delegate have it.
    public struct URLSessionDialer: GatewayDialer {
        /// Largest message that is read, in bytes.
        public var maxMessage = GatewayConfiguration.maxMessage
        private let session: URLSession

        /// A dialer on a session: one with a delegate of one's own where a certificate is pinned.
        public init(session: URLSession = .shared) {
            self.session = session
        }

        public func dial(_ endpoint: GatewayEndpoint) async throws -> any GatewaySocket {
            guard let url = URL(string: endpoint.description) else {
                throw SocketError.unreachable("\(endpoint) is no URL")
            }
            let task = session.webSocketTask(with: url)
            task.maximumMessageSize = maxMessage
            task.resume()
            let socket = URLSessionSocket(task)
            do {
                try await socket.opened()
            } catch {
                task.cancel()
                try Task.checkCancellation()
                throw error
            }
            return socket
        }
    }

    /// A WebSocket task of `URLSession`.
    struct URLSessionSocket: GatewaySocket {
        private let task: URLSessionWebSocketTask

        init(_ task: URLSessionWebSocketTask) {
            self.task = task
        }

        /// Waits until the connection is open. A task tells so only to a delegate, so it is asked for a pong:
        /// the time for the gateway's challenge must not run while TLS is being negotiated.
        func opened() async throws {
            // A stream takes it when the answer comes twice, as it has been seen to do after a cancel.
            let (answer, pong) = AsyncThrowingStream.makeStream(of: Void.self)
            task.sendPing { error in pong.finish(throwing: error.map { meaning(of: $0) }) }
            try await withTaskCancellationHandler {
                for try await _ in answer {}
                try Task.checkCancellation()
            } onCancel: {
                task.cancel()
            }
        }

        func receive() async throws -> Data {
            do {
                return try await withTaskCancellationHandler {
                    while true {
                        if case .string(let text) = try await task.receive() { return Data(text.utf8) }
                    }
                } onCancel: {
                    task.cancel()
                }
            } catch {
                try Task.checkCancellation()
                throw meaning(of: error)
            }
        }

        func send(_ text: Data) async throws {
            do {
                try await task.send(.string(String(decoding: text, as: UTF8.self)))
            } catch {
                throw meaning(of: error)
            }
        }

        func close(code: UInt16, reason: String) async {
            let payload = WebSocketFrame.closePayload(code: code, reason: reason).dropFirst(2)
            task.cancel(with: .init(rawValue: Int(code)) ?? .goingAway, reason: Data(payload))
        }

        private func meaning(of error: any Error) -> SocketError {
            if task.closeCode != .invalid {
                let reason = String(decoding: task.closeReason ?? Data(), as: UTF8.self)
                return .closedByPeer(code: UInt16(exactly: task.closeCode.rawValue), reason: reason)
            }
            let why = error.localizedDescription
            switch (error as? URLError)?.code {
            case .cancelled?: return .closedHere
            case .badServerResponse?: return .notAWebSocket(why)
            case .cannotFindHost?, .cannotConnectToHost?, .dnsLookupFailed?, .notConnectedToInternet?, .timedOut?,
                .secureConnectionFailed?, .serverCertificateUntrusted?, .serverCertificateHasBadDate?,
                .serverCertificateHasUnknownRoot?, .serverCertificateNotYetValid?, .clientCertificateRejected?,
                .appTransportSecurityRequiresSecureConnection?:
                return .unreachable(why)
            default: return .broken(why)
            }
        }
    }
#endif

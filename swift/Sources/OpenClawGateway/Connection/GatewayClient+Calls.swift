import Foundation

extension GatewayClient: GatewayTransport {
    /// One request, one response. Throws ``GatewayRefusal``, ``GatewayCallError``, and `CancellationError`
    /// where the task is cancelled: the request may then have been carried out.
    public nonisolated func call<Params: Encodable & Sendable, Answer: Decodable & Sendable>(
        _ method: GatewayMethod, _ params: Params
    ) async throws -> Answer {
        try await call(method.rawValue, params)
    }

    /// The same by the method's name, for methods that this version does not know.
    public nonisolated func call<Params: Encodable & Sendable, Answer: Decodable & Sendable>(
        _ method: String, _ params: Params
    ) async throws -> Answer {
        let (_, text) = try await exchange(method, try encode(method, params), isStaged: false)
        return try decode(method, text)
    }

    /// One request, two responses with the same id; see ``call(_:_:)-swift.method`` for the errors.
    public nonisolated func callStaged<
        Params: Encodable & Sendable, First: Decodable & Sendable, Last: Decodable & Sendable
    >(_ method: GatewayMethod, _ params: Params) async throws -> StagedAnswer<First, Last> {
        let name = method.rawValue
        let (id, text) = try await exchange(name, try encode(name, params), isStaged: true)
        do {
            // A repeated key of a request that has ended brings its final payload at once. The types cannot say
            // so: they read words that they do not know, too.
            let payload: JSONValue = try decode(name, text)
            guard let mark = method.firstAnswer, payload[mark.member] == .string(mark.value) else {
                let last: Last = try decode(name, text)
                await forget(id)
                return .ended(last)
            }
            let first: First = try decode(name, text)
            let last = Task { () async throws -> Last in try self.decode(name, try await self.second(name, id)) }
            return .running(first: first, last: last)
        } catch {
            await forget(id)
            throw error
        }
    }

    private nonisolated func encode(_ method: String, _ params: some Encodable) throws -> Data {
        do {
            return try JSONEncoder().encode(params)
        } catch {
            throw GatewayCallError.badParams(method: method, why: String(describing: error))
        }
    }

    private nonisolated func decode<Answer: Decodable>(_ method: String, _ text: Data) throws -> Answer {
        do {
            return try Wire.payload(Answer.self, of: text)
        } catch let refusal as GatewayRefusal {
            throw refusal
        } catch {
            throw GatewayCallError.badAnswer(method: method, why: String(describing: error))
        }
    }

    /// Sends a request and waits for its first response.
    private func exchange(_ method: String, _ params: Data, isStaged: Bool) async throws -> (id: String, text: Data) {
        try Task.checkCancellation()
        guard let link else { throw GatewayCallError.notConnected }
        guard pending.count < Self.maxPending else { throw GatewayCallError.tooMany(limit: Self.maxPending) }
        let id = pending.open(isStaged: isStaged)
        let request: Data
        do {
            request = try Wire.request(id: id, method: method, params: params)
            let limit = link.hello.policy.maxPayload
            guard request.count <= limit else { throw GatewayCallError.tooBig(bytes: request.count, limit: limit) }
        } catch {
            pending.forget(id)
            throw error
        }
        write(request)
        return (id, try await answer(method, id, within: configuration.callTimeout))
    }

    /// Waits for the second response of a call.
    private func second(_ method: String, _ id: String) async throws -> Data {
        try await answer(method, id, within: configuration.finalTimeout)
    }

    private func answer(_ method: String, _ id: String, within limit: Duration) async throws -> Data {
        let timer = Task { [clock = configuration.clock] in
            do { try await clock.sleep(for: limit) } catch { return }
            if Task.isCancelled { return }
            pending.settle(id, .failure(GatewayCallError.timeout(method: method, after: limit)))
        }
        pending.setTimer(id, timer)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { pending.await(id, $0) }
        } onCancel: {
            Task { await self.cancel(id) }
        }
    }

    private func cancel(_ id: String) {
        pending.settle(id, .failure(CancellationError()))
    }

    private func forget(_ id: String) {
        pending.forget(id)
    }
}

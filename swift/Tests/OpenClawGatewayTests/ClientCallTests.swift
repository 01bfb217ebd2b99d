import Foundation
import XCTest

@testable import OpenClawGateway

private let accepted = Gateway.AgentAccepted(runId: "r", acceptedAt: 7)
private let ended = Gateway.AgentFinal(
    runId: "r", status: .ok, summary: "completed", result: .init(payloads: [], meta: .init(durationMs: 1)))
private let hi = Gateway.AgentParams(message: "hi", idempotencyKey: "r")

/// Calls over a connection: answers, both stages, limits and ends.
final class ClientCallTests: XCTestCase {
    func testAnswersFindTheirCallsInAnyOrder() async throws {
        let (client, _, peer) = try await FakeGateway().connected()
        async let presence = client.systemPresence()
        let first = try await peer.request()
        async let heartbeat = client.lastHeartbeat()
        let second = try await peer.request()
        XCTAssertEqual([first.method, second.method], ["system-presence", "last-heartbeat"])
        XCTAssertEqual(first.params, [:])
        for noise in ["x", "{}", "{\"type\":\"res\",\"id\":\"77\",\"ok\":true}", "{\"type\":\"later\"}"] {
            try await peer.send(noise)
        }
        try await peer.send("{\"type\":\"res\",\"id\":\"\(second.id)\",\"ok\":true}")
        try await peer.answer(first.id, [Gateway.PresenceEntry(ts: 1)])
        let got = try await (presence, heartbeat)
        XCTAssertEqual(got.0, [.init(ts: 1)])
        XCTAssertNil(got.1)
        await client.close()
    }

    func testUnknownMethodsByName() async throws {
        let (client, _, peer) = try await FakeGateway().connected()
        async let answer: JSONValue = client.call("later \"x\"", ["a": 1])
        let request = try await peer.request()
        XCTAssertEqual(request.method, "later \"x\"")
        XCTAssertEqual(request.params, ["a": 1])
        try await peer.answer(request.id, [1, 2])
        let got = try await answer
        XCTAssertEqual(got, [1, 2])
        await client.close()
    }

    func testRefusals() async throws {
        let (client, _, peer) = try await FakeGateway().connected()
        async let outcome = thrown { try await client.health() }
        try await peer.fail(try await peer.request().id, .init(.internalError), payload: "{\"a\":1}")
        let refusal = try await outcome as? GatewayRefusal
        XCTAssertEqual(refusal, GatewayRefusal(error: .init(.internalError), payload: ["a": 1]))
        XCTAssertEqual(refusal?.localizedDescription, "internal error")
        await client.close()
    }

    func testAnswersThatDoNotFit() async throws {
        let (client, _, peer) = try await FakeGateway().connected()
        async let outcome = thrown { try await client.agentWait(.init(runId: "r")) }
        try await peer.answer(try await peer.request().id, ["runId": 5])
        guard case .badAnswer("agent.wait", _)? = try await outcome as? GatewayCallError else { return XCTFail("no bad answer") }
        await client.close()
    }

    func testBothStages() async throws {
        let (client, _, peer) = try await FakeGateway().connected()
        async let run = client.agent(hi)
        let request = try await peer.request()
        try await peer.answer(request.id, accepted)
        let staged = try await run
        XCTAssertEqual(staged.first, accepted)
        try await peer.answer(request.id, ended)
        let last = try await staged.last
        XCTAssertEqual(last, ended)
        let pending = await client.pending.count
        XCTAssertEqual(pending, 0)
        await client.close()
    }

    func testBothStagesInOneGo() async throws {
        let (client, _, peer) = try await FakeGateway().connected()
        async let run = client.agent(hi)
        let request = try await peer.request()
        try await peer.answer(request.id, accepted)
        try await peer.fail(request.id, .init(.internalError), payload: "{\"runId\":\"r\",\"status\":\"error\",\"summary\":\"s\"}")
        let staged = try await run
        let error = try await thrown { try await staged.last } as? GatewayRefusal
        XCTAssertEqual(try error?.payload(as: Gateway.AgentFailure.self)?.summary, "s")
        await client.close()
    }

    func testStagedCallsThatHaveOneAnswer() async throws {
        let (client, _, peer) = try await FakeGateway().connected()
        async let repeated = client.agent(hi)
        try await peer.answer(try await peer.request().id, ended)
        guard case .ended(let final) = try await repeated else { return XCTFail("it has ended") }
        XCTAssertEqual(final, ended)
        // One that has the members of a first answer as well, as a newer gateway may send it.
        async let newer = client.agent(hi)
        let both: JSONValue = [
            "runId": "r", "status": "ok", "acceptedAt": 7, "summary": "completed",
            "result": ["payloads": [], "meta": ["durationMs": 1]],
        ]
        try await peer.answer(try await peer.request().id, both)
        guard case .ended(let final) = try await newer else { return XCTFail("it has ended, too") }
        XCTAssertEqual(final.result.meta.durationMs, 1)
        async let refused = thrown { try await client.agent(hi) }
        try await peer.fail(try await peer.request().id, .init(.sendBlocked))
        let error = try await refused as? GatewayRefusal
        XCTAssertEqual(error?.error.message, "send blocked by session policy")
        let pending = await client.pending.count
        XCTAssertEqual(pending, 0)
        await client.close()
    }

    func testTimeLimitsOfBothStages() async throws {
        let gateway = FakeGateway()
        let (client, _, peer) = try await gateway.connected {
            $0.callTimeout = .seconds(7)
            $0.finalTimeout = .seconds(11)
        }
        async let slow = thrown { try await client.health() }
        let late = try await peer.request()
        await gateway.clock.pass(.seconds(7))
        let first = try await slow as? GatewayCallError
        XCTAssertEqual(first, .timeout(method: "health", after: .seconds(7)))
        // Its answer comes to nobody.
        try await peer.answer(late.id, 1)

        async let run = client.agent(hi)
        let request = try await peer.request()
        try await peer.answer(request.id, accepted)
        let staged = try await run
        async let last = thrown { try await staged.last }
        await gateway.clock.pass(.seconds(11))
        let second = try await last as? GatewayCallError
        XCTAssertEqual(second, .timeout(method: "agent", after: .seconds(11)))
        let pending = await client.pending.count
        XCTAssertEqual(pending, 0)
        await client.close()
    }

    func testACancelledCallIsForgotten() async throws {
        let (client, _, peer) = try await FakeGateway().connected()
        let call = Task { try await client.health() }
        let request = try await peer.request()
        call.cancel()
        let error = try await thrown { try await call.value }
        XCTAssertTrue(error is CancellationError, "\(error)")
        let pending = await client.pending.count
        XCTAssertEqual(pending, 0)
        try await peer.answer(request.id, 1)
        await client.close()
    }

    func testWhatIsNotSent() async throws {
        let gateway = FakeGateway()
        let client = GatewayClient(try gateway.configuration())
        let early = try await thrown { try await client.health() }
        XCTAssertEqual(early as? GatewayCallError, .notConnected)
        async let hello = client.connect()
        let peer = try await gateway.admit()
        let limit = try await hello.policy.maxPayload

        let unwritable = try await thrown { () async throws -> JSONValue in try await client.call("x", Double.infinity) }
        guard case .badParams("x", _)? = unwritable as? GatewayCallError else { return XCTFail("\(unwritable)") }
        let big = try await thrown { () async throws -> JSONValue in
            try await client.call("x", String(repeating: "a", count: limit))
        }
        // Beside the text: type, id and method, the quotes and the braces.
        let overhead = "{\"type\":\"req\",\"id\":\"1\",\"method\":\"x\",\"params\":\"\"}".utf8.count
        XCTAssertEqual(big as? GatewayCallError, .tooBig(bytes: limit + overhead, limit: limit))

        let calls = (0..<GatewayClient.maxPending).map { _ in Task { try await client.health() } }
        for _ in calls { _ = try await peer.request() }
        let over = try await thrown { try await client.health() }
        XCTAssertEqual(over as? GatewayCallError, .tooMany(limit: GatewayClient.maxPending))
        await client.close()
        for call in calls {
            let error = try await thrown { try await call.value }
            XCTAssertEqual(error as? GatewayCallError, .disconnected(.byClient))
        }
    }

    func testEveryStageFailsWithTheConnection() async throws {
        let (client, _, peer) = try await FakeGateway().connected { $0.reconnect = .never }
        async let run = client.agent(hi)
        try await peer.answer(try await peer.request().id, accepted)
        let staged = try await run
        async let waiting = thrown { try await client.health() }
        _ = try await peer.request()
        await peer.close()
        let cause = GatewayDisconnect.byGateway(code: 1012, reason: "service restart")
        let errors = try await [waiting, thrown { try await staged.last }].map { $0 as? GatewayCallError }
        XCTAssertEqual(errors, [.disconnected(cause), .disconnected(cause)])
        let after = try await thrown { try await client.health() }
        XCTAssertEqual(after as? GatewayCallError, .notConnected)
    }
}

import Foundation
import XCTest

import OpenClawGateway

/// The typed calls, over a transport that answers from memory.
final class CallTests: XCTestCase {
    func testACallNamesItsMethodAndEncodesItsParams() async throws {
        let transport = Canned(first: "{\"runId\":\"r\",\"status\":\"timeout\"}")
        let answer = try await transport.agentWait(.init(runId: "r", timeoutMs: 5))
        XCTAssertEqual(answer.status, .timeout)
        let sent = await transport.log.sent
        XCTAssertEqual(sent, ["agent.wait {\"runId\":\"r\",\"timeoutMs\":5}"])
    }

    func testParamsThatMayBeEmptyMayBeLeftOut() async throws {
        let transport = Canned(first: "[{\"ts\":1}]")
        let entries = try await transport.systemPresence()
        XCTAssertEqual(entries, [.init(ts: 1)])
        let sent = await transport.log.sent
        XCTAssertEqual(sent, ["system-presence {}"])
    }

    func testACallTakesTheStrictTypeWhereTheGatewayTakesMore() async throws {
        let transport = Canned(first: "null")
        _ = try? await transport.cronUpdate(.init(id: "j", patch: .init(enabled: false)))
        let sent = await transport.log.sent
        XCTAssertEqual(sent, ["cron.update {\"id\":\"j\",\"patch\":{\"enabled\":false}}"])
    }

    func testANullResultIsNil() async throws {
        let heartbeat = try await Canned(first: "null").lastHeartbeat()
        XCTAssertNil(heartbeat)
    }

    func testBothStagesAreTyped() async throws {
        let first = "{\"runId\":\"r\",\"status\":\"accepted\",\"acceptedAt\":7}"
        let last = "{\"runId\":\"r\",\"status\":\"ok\",\"summary\":\"completed\",\"result\":{\"payloads\":[],\"meta\":{\"durationMs\":1}}}"
        let answer = try await Canned(first: first, last: last).agent(.init(message: "hi", idempotencyKey: "r"))
        XCTAssertEqual(answer.first?.acceptedAt, 7)
        for _ in 0..<2 {
            let final = try await answer.last
            XCTAssertEqual(final.result.meta.durationMs, 1)
        }
        let repeated = StagedAnswer<Gateway.AgentAccepted, Int>.ended(4)
        XCTAssertNil(repeated.first)
        let value = try await repeated.last
        XCTAssertEqual(value, 4)
    }

    func testARefusalCarriesItsPayload() throws {
        let refusal = GatewayRefusal(
            error: .init(code: "UNAVAILABLE", message: "m"),
            payload: ["runId": "r", "status": "error", "summary": "s"])
        XCTAssertEqual(refusal.code, .unavailable)
        XCTAssertEqual(try refusal.payload(as: Gateway.ChatSendFailure.self), .init(runId: "r", summary: "s"))
        XCTAssertThrowsError(try refusal.payload(as: Gateway.Policy.self))
        XCTAssertNil(try GatewayRefusal(error: refusal.error).payload(as: Gateway.Policy.self))
    }
}

private actor Log {
    private(set) var sent: [String] = []

    func add(_ line: String) {
        sent.append(line)
    }
}

/// Answers every request with the same texts.
private struct Canned: GatewayTransport {
    let first: String
    var last = ""
    let log = Log()

    func call<Params: Encodable & Sendable, Answer: Decodable & Sendable>(
        _ method: GatewayMethod, _ params: Params
    ) async throws -> Answer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let text = String(decoding: try encoder.encode(params), as: UTF8.self)
        await log.add("\(method.rawValue) \(text)")
        return try JSONDecoder().decode(Answer.self, from: Data(first.utf8))
    }

    func callStaged<Params: Encodable & Sendable, First: Decodable & Sendable, Last: Decodable & Sendable>(
        _ method: GatewayMethod, _ params: Params
    ) async throws -> StagedAnswer<First, Last> {
        let first: First = try await call(method, params)
        let text = last
        let last = Task { try JSONDecoder().decode(Last.self, from: Data(text.utf8)) }
        return .running(first: first, last: last)
    }
}

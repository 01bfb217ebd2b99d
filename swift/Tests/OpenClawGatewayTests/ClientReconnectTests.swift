import Foundation
import XCTest

@testable import OpenClawGateway

/// Coming back after a loss.
final class ClientReconnectTests: XCTestCase {
    private let restart = GatewayDisconnect.byGateway(code: 1012, reason: "service restart")

    func testDelaysDoubleUpToTheLongestLessTheirJitter() {
        let full = [1.0, 2, 4, 8, 16, 30, 30, 30, 30]
        for (jitter, chance, expected) in [
            (0, 0.9, full), (0.5, 0, full), (0.5, 0.5, full.map { $0 * 0.75 }), (5, 2, full.map { _ in 0 }),
            (-1, 0.5, full),
        ] as [(Double, Double, [Double])] {
            let backoff = GatewayBackoff(jitter: jitter, chance: { chance })
            let delays = [0, 1, 2, 3, 4, 5, 31, 64, Int.max].map { backoff.delay(before: $0) }
            XCTAssertEqual(delays, expected.map { .seconds($0) })
        }
        let usual = GatewayBackoff()
        for _ in 0..<100 {
            let delay = usual.delay(before: 0)
            XCTAssertTrue(delay > .milliseconds(500) && delay <= .seconds(1), "\(delay)")
        }
    }

    func testAttemptsAreSpacedByGrowingDelaysThatBeginAnewAfterAHello() async throws {
        let gateway = FakeGateway()
        var (client, events, peer) = try await gateway.connected()
        for failures in [3, 0, 1] {
            await peer.close()
            let lost = await events.next()
            XCTAssertEqual(lost, .disconnected(restart))
            for attempt in 0..<failures {
                await gateway.clock.pass(.seconds(1 << attempt))
                await gateway.accept().socket.breakOff("reset")
            }
            await gateway.clock.pass(.seconds(1 << failures))
            peer = try await gateway.admit()
            let back = await events.next()
            XCTAssertEqual(back, .reconnected(FakeGateway.hello()))
            let state = await client.state
            XCTAssertEqual(state, .connected)
        }
        await client.close()
    }

    func testStatesCanBeObserved() async throws {
        let gateway = FakeGateway()
        let client = GatewayClient(try gateway.configuration())
        let states = await client.states()
        async let hello = client.connect()
        let peer = try await gateway.admit()
        _ = try await hello
        await peer.close()
        await gateway.clock.pass(.seconds(1))
        await gateway.accept().socket.breakOff("reset")
        await gateway.clock.pass(.seconds(2))
        _ = try await gateway.admit()
        var seen: [GatewayState] = []
        for await state in states {
            seen.append(state)
            if state == .connected, seen.contains(.reconnecting(attempt: 2)) { await client.close() }
        }
        XCTAssertEqual(
            seen,
            [
                .idle, .connecting, .connected, .reconnecting(attempt: 1), .reconnecting(attempt: 2), .connected,
                .closed(.byClient),
            ])
        var late: [GatewayState] = []
        for await state in await client.states() { late.append(state) }
        XCTAssertEqual(late, [.closed(.byClient)])
    }

    func testANewConnectionHasItsOwnHelloSequenceAndCalls() async throws {
        let gateway = FakeGateway()
        let (client, events, peer) = try await gateway.connected()
        try await peer.event("tick", seq: 7)
        _ = await events.next()
        async let waiting = thrown { try await client.health() }
        _ = try await peer.request()
        await peer.close()
        let lost = try await waiting as? GatewayCallError
        XCTAssertEqual(lost, .disconnected(restart))
        let notice = await events.next()
        XCTAssertEqual(notice, .disconnected(restart))
        let outage = try await thrown { try await client.health() }
        XCTAssertEqual(outage as? GatewayCallError, .notConnected)
        let busy = try await thrown { try await client.connect() }
        XCTAssertEqual(busy as? GatewayConnectError, .busy)

        await gateway.clock.pass(.seconds(1))
        let second = try await gateway.admit(FakeGateway.hello("second"))
        let back = await events.next()
        XCTAssertEqual(back, .reconnected(FakeGateway.hello("second")))
        let hello = await client.hello
        XCTAssertEqual(hello?.server.connId, "second")
        // Far ahead of the old connection's numbers, and no gap.
        try await second.event("tick", seq: 100)
        let event = await events.next()
        XCTAssertEqual(event, .event(GatewayEvent(payload: .tick(.init(ts: 1)), seq: 100)))
        async let heartbeat = client.lastHeartbeat()
        try await second.answer(try await second.request().id, JSONValue.null)
        let none = try await heartbeat
        XCTAssertNil(none)
        await client.close()
    }

    func testARefusalEndsItUnlessToldOtherwise() async throws {
        for always in [false, true] {
            let gateway = FakeGateway()
            let (client, events, peer) = try await gateway.connected {
                if always { $0.reconnect = .always(FakeGateway.backoff) }
            }
            await peer.close()
            await gateway.clock.pass(.seconds(1))
            try await gateway.refuse(.init(.pairingRequired))
            let lost = await events.next()
            XCTAssertEqual(lost, .disconnected(restart))
            if always {
                await gateway.clock.pass(.seconds(2))
                _ = try await gateway.admit()
                let back = await events.next()
                XCTAssertEqual(back, .reconnected(FakeGateway.hello()))
                await client.close()
                continue
            }
            let refused = await events.next()
            XCTAssertEqual(refused, .gaveUp(.pairingRequired(requestId: nil)))
            let end = await events.next()
            XCTAssertNil(end)
            let state = await client.state
            XCTAssertEqual(state, .closed(restart))
            await client.close()
        }
    }

    func testRefusalsThatPassDoNotEndIt() async throws {
        let gateway = FakeGateway()
        let (client, events, peer) = try await gateway.connected()
        await peer.close()
        await gateway.clock.pass(.seconds(1))
        try await gateway.refuse(.init(.deviceSignatureExpired))
        await gateway.clock.pass(.seconds(2))
        _ = try await gateway.admit()
        _ = await events.next()
        let back = await events.next()
        XCTAssertEqual(back, .reconnected(FakeGateway.hello()))
        await client.close()
    }

    func testClosingEndsTheAttemptsAtOnce() async throws {
        // While it waits for the next attempt, and in the midst of one.
        for dialling in [false, true] {
            let gateway = FakeGateway()
            let (client, events, peer) = try await gateway.connected()
            await peer.close()
            _ = await events.next()
            if dialling {
                await gateway.clock.pass(.seconds(1))
                _ = await gateway.accept()
            } else {
                await gateway.clock.slept(for: .seconds(1))
            }
            await client.close()
            let end = await events.next()
            XCTAssertNil(end)
            let state = await client.state
            XCTAssertEqual(state, .closed(.byClient))
            // Twice does no harm.
            await client.close()
        }
    }

    func testClosingTellsTheGateway() async throws {
        let (client, _, peer) = try await FakeGateway().connected()
        await client.close()
        let close = try await peer.closed()
        XCTAssertEqual(close, .closedByPeer(code: 1000, reason: ""))
        let unused = GatewayClient(try FakeGateway().configuration())
        await unused.close()
        let state = await unused.state
        XCTAssertEqual(state, .closed(.byClient))
    }
}

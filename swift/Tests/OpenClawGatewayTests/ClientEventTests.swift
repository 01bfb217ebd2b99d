import Foundation
import XCTest

@testable import OpenClawGateway

/// What subscribers get while a connection lasts.
final class ClientEventTests: XCTestCase {
    /// A notice in a few words.
    private func words(_ notice: GatewayNotice?) -> String {
        switch notice {
        case .event(let event): event.payload.name
        case .gap(let expected, let received): "gap \(expected)..\(received)"
        case .dropped(let count): "dropped \(count)"
        case .disconnected(let cause): "disconnected: \(cause)"
        case .reconnected: "reconnected"
        case .gaveUp(let error): "gave up: \(error)"
        case nil: "end"
        }
    }

    private func expect(_ expected: [String], from events: GatewayEvents.Iterator, line: UInt = #line) async {
        var got: [String] = []
        for _ in expected { got.append(words(await events.next())) }
        XCTAssertEqual(got, expected, line: line)
    }

    func testEventsAreDecodedWhereTheyAreKnownAndNeverLost() async throws {
        let (client, events, peer) = try await FakeGateway().connected()
        try await peer.event("tick", seq: 4)
        try await peer.event("from.the.future", seq: 5, payload: "{\"a\":[1]}")
        try await peer.event("tick", seq: 6, payload: "{\"ts\":\"not a time\"}")
        try await peer.send("{\"type\":\"event\",\"event\":\"bare\"}")
        try await peer.send("{\"type\":\"event\",\"event\":\"tick\",\"payload\":{\"ts\":2},\"seq\":-1}")
        try await peer.event("tick", seq: 7)
        for expected in [
            GatewayEvent(payload: .tick(.init(ts: 1)), seq: 4),
            GatewayEvent(payload: .unknown(name: "from.the.future", payload: ["a": [1]]), seq: 5),
            GatewayEvent(payload: .unknown(name: "tick", payload: ["ts": "not a time"]), seq: 6),
            GatewayEvent(payload: .unknown(name: "bare", payload: nil)),
            GatewayEvent(payload: .tick(.init(ts: 1)), seq: 7),
        ] {
            let notice = await events.next()
            XCTAssertEqual(notice, .event(expected))
        }
        await client.close()
    }

    func testGapsAreTheNumbersLeftOut() {
        for (numbers, gaps) in [
            ([7, 8, 9], [nil, nil, nil]),
            ([7, 9], [nil, 8]),
            ([7, 8, 12, 13, 2, 3, 3, 5], [nil, nil, 9, nil, nil, nil, nil, 4]),
            ([0, Int.max, Int.max], [nil, 1, nil]),
        ] as [([Int], [Int?])] {
            var sequence = SequenceWatch()
            XCTAssertEqual(numbers.map { sequence.gap(before: $0) }, gaps)
        }
    }

    func testAGapIsToldBeforeTheEventThatShowsIt() async throws {
        let (client, events, peer) = try await FakeGateway().connected()
        for seq in [7, 8, 11] { try await peer.event("tick", seq: seq) }
        try await peer.event("directed")
        try await peer.event("tick", seq: 12)
        await expect(["tick", "tick", "gap 9..11", "tick", "directed", "tick"], from: events)
        await client.close()
        await expect(["disconnected: closed by this client", "end", "end"], from: events)
    }

    func testEverySubscriberGetsEverythingFromWhenItAsked() async throws {
        let (client, first, peer) = try await FakeGateway().connected()
        try await peer.event("early")
        await expect(["early"], from: first)
        let second = await client.events().makeAsyncIterator()
        try await peer.event("late")
        await expect(["late"], from: first)
        await expect(["late"], from: second)
        await client.close()
        await expect(["disconnected: closed by this client", "end"], from: second)
        let after = await client.events().makeAsyncIterator()
        await expect(["end"], from: after)
    }

    func testASubscriberThatIsTooSlowIsToldWhatItMissed() async throws {
        let (client, slow, peer) = try await FakeGateway().connected { $0.eventBuffer = 4 }
        let fast = await client.events().makeAsyncIterator()
        for name in ["1", "2", "3", "4", "5", "6"] {
            try await peer.event(name)
            await expect([name], from: fast)
        }
        await expect(["dropped 2", "3", "4", "5", "6"], from: slow)
        try await peer.event("7")
        await expect(["7"], from: slow)
        await client.close()
    }

    func testACancelledReaderGetsNothingAndLosesNothing() async throws {
        let (client, events, peer) = try await FakeGateway().connected()
        let stream = await client.events()
        let reading = Task { await stream.makeAsyncIterator().next() }
        reading.cancel()
        let nothing = await reading.value
        XCTAssertNil(nothing)
        try await peer.event("kept")
        await expect(["kept"], from: stream.makeAsyncIterator())
        await expect(["kept"], from: events)
        await client.close()
    }

    func testASubscriptionEndsWithItsLastCopy() async throws {
        let (client, events, peer) = try await FakeGateway().connected()
        var extra: GatewayEvents? = await client.events()
        XCTAssertNotNil(extra)
        let before = await client.board.subscriberCount
        XCTAssertEqual(before, 2)
        extra = nil
        // Ending it is a job for the client's actor.
        while await client.board.subscriberCount > 1 { await Task.yield() }
        try await peer.event("x")
        await expect(["x"], from: events)
        await client.close()
    }

    func testAGatewayWithoutTicksIsLeftAfterTwoIntervals() async throws {
        let gateway = FakeGateway()
        let (client, events, peer) = try await gateway.connected { $0.reconnect = .never }
        await gateway.clock.slept(for: .seconds(60))
        gateway.clock.drift(.seconds(59))
        try await peer.event("tick", seq: 1)
        await expect(["tick"], from: events)
        // Other events do not count.
        await gateway.clock.slept(for: .seconds(60))
        gateway.clock.drift(.seconds(40))
        try await peer.event("other", seq: 2)
        await expect(["other"], from: events)
        await gateway.clock.pass(.seconds(20))
        let close = try await peer.closed()
        XCTAssertEqual(close, .closedByPeer(code: 4000, reason: "tick timeout"))
        await expect(["disconnected: the gateway has gone silent", "end"], from: events)
        let state = await client.state
        XCTAssertEqual(state, .closed(.silent))
    }

    func testAbsurdIntervalsAreTakenForTheNearestSaneOne() async throws {
        for (announced, waited) in [(0, 2), (-5, 2), (1500, 3), (Int.max / 1000, 7200)] {
            let gateway = FakeGateway()
            let client = GatewayClient(try gateway.configuration { $0.reconnect = .never })
            async let hello = client.connect()
            var announcement = FakeGateway.hello()
            announcement.policy.tickIntervalMs = announced
            let peer = try await gateway.admit(announcement)
            _ = try await hello
            await gateway.clock.pass(.seconds(waited))
            let close = try await peer.closed()
            XCTAssertEqual(close, .closedByPeer(code: 4000, reason: "tick timeout"), "\(announced)")
        }
    }
}

import Foundation
import XCTest

import OpenClawGateway

/// Connections in memory, which users' tests stand on as well.
final class MemorySocketTests: XCTestCase {
    func testWhatOneEndSendsTheOtherReceivesInOrder() async throws {
        let (one, other) = MemorySocket.pair()
        for index in 0..<3 { try await one.send(Data([UInt8(index)])) }
        try await other.send(Data("back".utf8))
        for index in 0..<3 {
            let message = try await other.receive()
            XCTAssertEqual(message, Data([UInt8(index)]))
        }
        let back = try await one.receive()
        XCTAssertEqual(back, Data("back".utf8))
    }

    func testEndsAndWhatEachSideSees() async throws {
        let closed = SocketError.closedByPeer(code: 1000, reason: "bye")
        let broken = SocketError.broken("reset")
        for (breaks, near, far) in [(false, SocketError.closedHere, closed), (true, broken, broken)] {
            let (one, other) = MemorySocket.pair()
            try await one.send(Data("last".utf8))
            try await other.send(Data("unread".utf8))
            if breaks { await one.breakOff("reset") } else { await one.close(code: 1000, reason: "bye") }
            if !breaks {
                let last = try await other.receive()
                XCTAssertEqual(last, Data("last".utf8))
            }
            let errors = [
                try await thrown { try await one.receive() }, try await thrown { try await other.receive() },
                try await thrown { try await one.send(Data()) }, try await thrown { try await other.send(Data()) },
            ].map { $0 as? SocketError }
            XCTAssertEqual(errors, [near, far, far, near])
        }
    }

    func testASenderWaitsForRoom() async throws {
        let (one, other) = MemorySocket.pair()
        for _ in 0..<MemorySocket.capacity { try await one.send(Data()) }
        let sender = Task { try await one.send(Data("late".utf8)) }
        let stuck = Task { try await one.send(Data("never".utf8)) }
        stuck.cancel()
        let error = try await thrown { try await stuck.value }
        XCTAssertTrue(error is CancellationError, "\(error)")
        for _ in 0..<MemorySocket.capacity { _ = try await other.receive() }
        let late = try await other.receive()
        XCTAssertEqual(late, Data("late".utf8))
        try await sender.value
    }

    func testACancelledReceiveTakesTheConnectionWithIt() async throws {
        let (one, other) = MemorySocket.pair()
        let receiving = Task { try await one.receive() }
        receiving.cancel()
        let error = try await thrown { try await receiving.value }
        XCTAssertTrue(error is CancellationError, "\(error)")
        guard case .broken? = try await thrown({ try await other.receive() }) as? SocketError else { return XCTFail("still there") }
    }
}

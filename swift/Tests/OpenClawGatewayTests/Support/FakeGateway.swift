import Foundation
import XCTest

@testable import OpenClawGateway

/// A gateway made of a test's script, at the other end of sockets in memory.
struct FakeGateway {
    /// What the wall clock of tests says.
    static let nowMs = 1_769_900_000_000

    let network = MemoryNetwork()
    let clock = ManualClock()

    /// A client that reaches this gateway: without secrets, and with delays of 1, 2, 4 … s before it
    /// reconnects.
    func configuration(_ change: (inout GatewayConfiguration) -> Void = { _ in }) throws -> GatewayConfiguration {
        let me = Gateway.ConnectClient(id: .test, version: "1.0", platform: "linux", mode: .test)
        var configuration = try GatewayConfiguration(url: "ws://gw.example.com:18789", client: me, dialer: network)
        configuration.clock = clock
        configuration.nowMs = { Self.nowMs }
        configuration.reconnect = .unlessRefused(Self.backoff)
        change(&configuration)
        return configuration
    }

    static let backoff = GatewayBackoff(chance: { 0 })

    /// A hello; its ticks come every 30 s.
    static func hello(_ connId: String = "c-1", auth: Gateway.HelloAuth? = nil) -> Gateway.HelloOk {
        Gateway.HelloOk(
            protocol: 3, server: .init(version: "1", connId: connId), features: .init(methods: [], events: []),
            snapshot: .init(
                presence: [], health: .healthPending(.init()), stateVersion: .init(presence: 1, health: 1), uptimeMs: 1),
            auth: auth, policy: .init(maxPayload: 524_288, maxBufferedBytes: 1_572_864, tickIntervalMs: 30_000))
    }

    /// Waits for a client.
    func accept() async -> FakePeer {
        FakePeer(socket: await network.accept())
    }

    /// Accepts a client, challenges it and admits it.
    func admit(_ hello: Gateway.HelloOk = hello()) async throws -> FakePeer {
        let peer = await accept()
        try await peer.challenge()
        _ = try await peer.connectRequest()
        try await peer.answer("connect", hello)
        return peer
    }

    /// Accepts a client and refuses it.
    func refuse(_ error: Gateway.ErrorShape) async throws {
        let peer = await accept()
        try await peer.challenge()
        _ = try await peer.connectRequest()
        try await peer.fail("connect", error)
    }

    /// A client that is connected, and its connection seen from the gateway.
    func connected(
        _ change: (inout GatewayConfiguration) -> Void = { _ in }
    ) async throws -> (client: GatewayClient, events: GatewayEvents.Iterator, peer: FakePeer) {
        let client = GatewayClient(try configuration(change))
        let events = await client.events().makeAsyncIterator()
        async let hello = client.connect()
        let peer = try await admit()
        _ = try await hello
        return (client, events, peer)
    }
}

/// One connection, seen from the gateway.
struct FakePeer {
    let socket: MemorySocket

    /// A request as it came.
    struct Request {
        let id: String
        let method: String
        let params: JSONValue
    }

    func send(_ json: String) async throws {
        try await socket.send(Data(json.utf8))
    }

    func challenge() async throws {
        try await send("{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{\"nonce\":\"n-1\",\"ts\":1}}")
    }

    func event(_ name: String, seq: Int? = nil, payload: String = "{\"ts\":1}") async throws {
        let seq = seq.map { ",\"seq\":\($0)" } ?? ""
        try await send("{\"type\":\"event\",\"event\":\"\(name)\",\"payload\":\(payload)\(seq)}")
    }

    func answer(_ id: String, _ payload: some Encodable) async throws {
        let payload = String(decoding: try JSONEncoder().encode(payload), as: UTF8.self)
        try await send("{\"type\":\"res\",\"id\":\"\(id)\",\"ok\":true,\"payload\":\(payload)}")
    }

    func fail(_ id: String, _ error: Gateway.ErrorShape, payload: String? = nil) async throws {
        let error = String(decoding: try JSONEncoder().encode(error), as: UTF8.self)
        let payload = payload.map { ",\"payload\":\($0)" } ?? ""
        try await send("{\"type\":\"res\",\"id\":\"\(id)\",\"ok\":false,\"error\":\(error)\(payload)}")
    }

    /// Waits for a request.
    func request() async throws -> Request {
        let frame = try JSONDecoder().decode(JSONValue.self, from: try await socket.receive())
        XCTAssertEqual(frame["type"], "req")
        guard case .object(let members) = frame, members.count == 4, case .string(let id)? = frame["id"],
            case .string(let method)? = frame["method"], let params = frame["params"]
        else { throw Unexpected(what: "\(frame)") }
        return Request(id: id, method: method, params: params)
    }

    func connectRequest() async throws -> Gateway.ConnectParams {
        let request = try await request()
        XCTAssertEqual(request.id, "connect")
        XCTAssertEqual(request.method, "connect")
        return try JSONDecoder().decode(Gateway.ConnectParams.self, from: JSONEncoder().encode(request.params))
    }

    func close(_ close: GatewayProtocol.Close = .serviceRestart) async {
        await socket.close(code: close.code, reason: close.reason)
    }

    /// Waits until the client has closed, and gives its code and reason.
    func closed() async throws -> SocketError {
        while true {
            do {
                _ = try await socket.receive()
            } catch let error as SocketError {
                return error
            }
        }
    }
}

/// Something that a test did not expect.
struct Unexpected: Error {
    let what: String
}

extension Gateway.ErrorShape {
    /// An error of the schema, its placeholders left in.
    init(_ known: GatewayProtocol.KnownError, details: JSONValue? = nil) {
        self.init(code: known.code.rawValue, message: known.text, details: details)
    }
}

/// Gives what an expression throws.
func thrown<Value>(_ body: () async throws -> Value) async throws -> any Error {
    do {
        throw Unexpected(what: "no error but \(try await body())")
    } catch let error as Unexpected {
        throw error
    } catch {
        return error
    }
}

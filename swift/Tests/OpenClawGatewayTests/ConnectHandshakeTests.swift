import Foundation
import XCTest

@testable import OpenClawGateway

private let identity = TestIdentity(seed: Data(0..<32))

/// From dial to hello-ok, against a scripted gateway.
final class ConnectHandshakeTests: XCTestCase {
    func testTheChallengeIsSignedWithWhatIsSent() async throws {
        let gateway = FakeGateway()
        let client = GatewayClient(
            try gateway.configuration {
                $0.identity = identity
                $0.token = "tok"
                $0.password = "secret"
                $0.scopes = [.operatorRead, .operatorWrite]
                $0.caps = ["", "canvas"]
                $0.locale = "de"
            })
        async let hello = client.connect()
        let peer = await gateway.accept()
        try await peer.challenge()
        let sent = try await peer.connectRequest()
        try await peer.answer("connect", FakeGateway.hello())
        let got = try await hello
        XCTAssertEqual(got, FakeGateway.hello())

        XCTAssertEqual([sent.minProtocol, sent.maxProtocol], [3, 3])
        XCTAssertEqual(sent.scopes, ["operator.read", "operator.write"])
        XCTAssertEqual(sent.caps, ["canvas"])
        XCTAssertNil(sent.commands)
        XCTAssertEqual(sent.auth, .init(token: "tok", password: "secret"))
        XCTAssertEqual(sent.locale, "de")
        let device = try XCTUnwrap(sent.device)
        XCTAssertEqual(device.nonce, "n-1")
        let payload = "v2|\(identity.id)|test|test|operator|operator.read,operator.write|1769900000000|tok|n-1"
        XCTAssertEqual(device.signature, identity.sign(Data(payload.utf8)).base64URL)
        await client.close()
    }

    func testWithoutAChallengeTheFirstVersionIsSignedAndALateOneIsIgnored() async throws {
        let gateway = FakeGateway()
        let client = GatewayClient(try gateway.configuration { $0.identity = identity })
        async let hello = client.connect()
        let peer = await gateway.accept()
        await gateway.clock.pass(.milliseconds(750))
        let device = try await peer.connectRequest().device
        XCTAssertNil(device?.nonce)
        let payload = "v1|\(identity.id)|test|test|operator||1769900000000|"
        XCTAssertEqual(device?.signature, identity.sign(Data(payload.utf8)).base64URL)
        try await peer.challenge()
        try await peer.answer("connect", FakeGateway.hello())
        _ = try await hello
        await client.close()
        // Nothing was sent after the connect.
        let end = try await thrown { try await peer.socket.receive() }
        XCTAssertEqual(end as? SocketError, .closedByPeer(code: 1000, reason: ""))
    }

    /// Stored, shared and right token; those tried, whether one was right, and what is stored then.
    func testTheStoredTokenComesFirstAndTheSharedOneOnceAfterIt() async throws {
        let cases: [(stored: String?, shared: String?, right: String?, tried: [String?], admitted: Bool, left: String?)] = [
            (nil, nil, nil, [nil], true, nil),
            (nil, "shared", "shared", ["shared"], true, nil),
            (nil, "shared", "other", ["shared"], false, nil),
            ("own", nil, "own", ["own"], true, "own"),
            ("own", "shared", "own", ["own"], true, "own"),
            // With nothing else to try, the stored token may become good again.
            ("own", nil, "other", ["own"], false, "own"),
            ("own", "shared", "shared", ["own", "shared"], true, nil),
            ("own", "shared", "other", ["own", "shared"], false, nil),
            ("same", "same", "other", ["same"], false, "same"),
        ]
        for row in cases {
            let gateway = FakeGateway()
            let store = MemoryTokenStore()
            if let stored = row.stored {
                await store.keep(SecretString(stored), device: identity.id, role: "operator", scopes: [], nowMs: 1)
            }
            let client = GatewayClient(
                try gateway.configuration {
                    $0.identity = identity
                    $0.tokenStore = store
                    $0.token = row.shared.map { SecretString($0) }
                })
            async let admitted: Bool = {
                do {
                    try await client.connect()
                    return true
                } catch GatewayConnectError.unauthorized {
                    return false
                }
            }()
            for expected in row.tried {
                let peer = await gateway.accept()
                try await peer.challenge()
                let token = try await peer.connectRequest().auth?.token?.expose()
                XCTAssertEqual(token, expected, "\(row)")
                if token == row.right {
                    try await peer.answer("connect", FakeGateway.hello())
                } else {
                    try await peer.fail("connect", .init(.tokenMismatch))
                }
            }
            let isAdmitted = try await admitted
            XCTAssertEqual(isAdmitted, row.admitted, "\(row)")
            let left = await store.token(device: identity.id, role: "operator")
            XCTAssertEqual(left?.expose(), row.left, "\(row)")
            await client.close()
        }
    }

    func testTheTokenOfAHelloIsKeptForItsRole() async throws {
        let gateway = FakeGateway()
        let store = MemoryTokenStore()
        let client = GatewayClient(
            try gateway.configuration {
                $0.identity = identity
                $0.tokenStore = store
            })
        async let hello = client.connect()
        _ = try await gateway.admit(
            FakeGateway.hello(auth: .init(deviceToken: "given", role: "node", scopes: ["x"], issuedAtMs: 1)))
        _ = try await hello
        let kept = await store.token(device: identity.id, role: "node")
        XCTAssertEqual(kept, "given")
        await client.close()
    }

    func testAStoreOrKeyThatFails() async throws {
        struct Broken: DeviceTokenStore, DeviceIdentity {
            let id = "d"
            let publicKey = Data([1])
            let signs: Bool
            func token(device: String, role: String) throws -> SecretString? { throw Unexpected(what: "disk") }
            func keep(_: SecretString, device: String, role: String, scopes: [String], nowMs: Int) throws {
                throw Unexpected(what: "disk")
            }
            func forget(_: SecretString, device: String, role: String) throws { throw Unexpected(what: "disk") }
            func sign(_ payload: Data) throws -> Data {
                if signs { return Data([2]) }
                throw Unexpected(what: "locked")
            }
        }
        for signs in [true, false] {
            let gateway = FakeGateway()
            let client = GatewayClient(
                try gateway.configuration {
                    $0.identity = Broken(signs: signs)
                    $0.tokenStore = Broken(signs: signs)
                })
            async let outcome = client.connect()
            if signs {
                _ = try await gateway.admit(
                    FakeGateway.hello(auth: .init(deviceToken: "t", role: "operator", scopes: [])))
                _ = try await outcome
            } else {
                try await gateway.accept().challenge()
                do {
                    _ = try await outcome
                    XCTFail("connected without a signature")
                } catch GatewayConnectError.badIdentity(let why) {
                    XCTAssertTrue(why.contains("locked"), why)
                }
            }
            await client.close()
        }
    }

    func testRefusalsAreSortedByWhatCanBeDone() async throws {
        let odd = Gateway.ErrorShape(code: "INVALID_REQUEST", message: "unauthorizedly")
        let busy = Gateway.ErrorShape(code: "UNAVAILABLE", message: "starting")
        let table: [(Gateway.ErrorShape, GatewayConnectError, isFinal: Bool)] = [
            (.init(.pairingRequired, details: ["requestId": "r"]), .pairingRequired(requestId: "r"), true),
            (.init(.pairingRequired), .pairingRequired(requestId: nil), true),
            (.init(.deviceIdentityRequired), .deviceIdentityRequired, true),
            (.init(.protocolMismatch, details: ["expectedProtocol": 4]), .protocolMismatch(gateway: 4), true),
            (.init(.tokenMismatch), .unauthorized(.init(.tokenMismatch)), true),
            (.init(.passwordMissing), .unauthorized(.init(.passwordMissing)), true),
            (.init(.deviceSignatureExpired), .refused(.init(.deviceSignatureExpired)), false),
            (.init(.deviceNonceRequired), .refused(.init(.deviceNonceRequired)), false),
            (.init(.invalidRole), .refused(.init(.invalidRole)), true),
            (odd, .refused(odd), true),
            (busy, .refused(busy), false),
        ]
        for (refusal, expected, isFinal) in table {
            let gateway = FakeGateway()
            let client = GatewayClient(try gateway.configuration())
            async let outcome = client.connect()
            try await gateway.refuse(refusal)
            do {
                _ = try await outcome
                XCTFail("connected in spite of \(refusal)")
            } catch let error as GatewayConnectError {
                XCTAssertEqual(error, expected)
                XCTAssertEqual(error.isFinal, isFinal, "\(error)")
            }
            let state = await client.state
            XCTAssertEqual(state, .idle)
        }
    }

    func testHandshakesThatComeToNothing() async throws {
        let url = "ws://gw.example.com:18789"
        let table: [(script: @Sendable (FakeGateway, FakePeer) async throws -> Void, GatewayConnectError)] = [
            ({ _, peer in await peer.close(.handshakeTimeout) }, .ended(url: url, cause: .byGateway(code: 1000, reason: ""))),
            ({ _, peer in await peer.socket.breakOff("reset") }, .ended(url: url, cause: .broken("reset"))),
            (
                { gateway, _ in
                    await gateway.clock.pass(.milliseconds(750))
                    await gateway.clock.pass(.milliseconds(9250))
                }, .timeout(url: url, after: .seconds(10))
            ),
        ]
        for (script, expected) in table {
            let gateway = FakeGateway()
            let client = GatewayClient(try gateway.configuration())
            async let outcome = thrown { try await client.connect() }
            try await script(gateway, await gateway.accept())
            let error = try await outcome
            XCTAssertEqual(error as? GatewayConnectError, expected)
        }
    }

    func testAHelloThatCannotBeRead() async throws {
        let gateway = FakeGateway()
        let client = GatewayClient(try gateway.configuration())
        async let outcome = thrown { try await client.connect() }
        let peer = await gateway.accept()
        for ignored in ["no JSON", "{}", "{\"type\":\"res\",\"id\":\"other\",\"ok\":true}"] { try await peer.send(ignored) }
        try await peer.challenge()
        _ = try await peer.connectRequest()
        try await peer.answer("connect", ["type": "hello-ok"])
        guard case .badHello(_, let why)? = try await outcome as? GatewayConnectError else { return XCTFail("no bad hello") }
        XCTAssertTrue(why.contains("protocol"), why)
        // The client leaves a gateway that it does not understand.
        let end = try await peer.closed()
        XCTAssertEqual(end, .closedByPeer(code: 1000, reason: ""))
    }

    func testAFirstAttemptThatFailsIsNotRepeatedButMayBeMadeAgain() async throws {
        let gateway = FakeGateway()
        let client = GatewayClient(try gateway.configuration())
        await gateway.network.refuse("connection refused")
        let error = try await thrown { try await client.connect() }
        XCTAssertEqual(
            error as? GatewayConnectError, .unreachable(url: "ws://gw.example.com:18789", why: "connection refused"))
        await gateway.network.refuse(nil)
        async let hello = client.connect()
        _ = try await gateway.admit()
        _ = try await hello
        let again = try await client.connect()
        XCTAssertEqual(again, FakeGateway.hello())
        await client.close()
        let closed = try await thrown { try await client.connect() }
        XCTAssertEqual(closed as? GatewayConnectError, .closed)
    }

    func testClosingAndCancellingEndAnAttempt() async throws {
        for closing in [true, false] {
            let gateway = FakeGateway()
            let client = GatewayClient(try gateway.configuration())
            let connecting = Task { try await client.connect() }
            let peer = await gateway.accept()
            let busy = try await thrown { try await client.connect() }
            XCTAssertEqual(busy as? GatewayConnectError, .busy)
            if closing { await client.close() } else { connecting.cancel() }
            let error = try await thrown { try await connecting.value }
            if closing {
                XCTAssertEqual(error as? GatewayConnectError, .closed)
            } else {
                XCTAssertTrue(error is CancellationError, "\(error)")
            }
            _ = try await peer.closed()
            let state = await client.state
            XCTAssertEqual(state, closing ? .closed(.byClient) : .idle)
        }
    }
}

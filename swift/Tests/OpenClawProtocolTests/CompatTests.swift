import Foundation
import XCTest

import OpenClawProtocol

/// What existing app code does with the models.
final class CompatTests: XCTestCase {
    private func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    private func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    func testAnyCodableKeepsEveryKind() throws {
        let cases: [(json: String, matches: (Any) -> Bool)] = [
            ("true", { $0 as? Bool == true && !($0 is Int) }),
            ("1", { $0 as? Int == 1 && !($0 is Bool) }),
            ("0", { $0 as? Int == 0 && !($0 is Bool) }),
            ("1.5", { $0 as? Double == 1.5 }),
            ("9007199254740991", { $0 as? Int == 9_007_199_254_740_991 }),
            ("\"x\"", { $0 as? String == "x" }),
            ("null", { $0 is NSNull }),
            ("[1,null]", { ($0 as? [AnyCodable])?.count == 2 }),
            ("{\"a\":false}", { ($0 as? [String: AnyCodable])?["a"]?.value as? Bool == false }),
        ]
        for (json, matches) in cases {
            let value = try decode(AnyCodable.self, json)
            XCTAssertTrue(matches(value.value), "\(json) became \(type(of: value.value))")
            XCTAssertEqual(try text(value), json)
        }
    }

    func testAnyCodableTakesPlainValues() throws {
        let cases: [(Any, String)] = [
            (["a": 1, "b": [true, "x", 2.5] as [Any]] as [String: Any], "{\"a\":1,\"b\":[true,\"x\",2.5]}"),
            ([1, 2], "[1,2]"),
            (UInt8(7), "7"),
            (AnyCodable(AnyCodable("deep")), "\"deep\""),
            (NSNumber(value: true), "true"),
            (NSNumber(value: 3), "3"),
            (NSNull(), "null"),
        ]
        for (value, json) in cases {
            XCTAssertEqual(try text(AnyCodable(value)), json)
            XCTAssertEqual(AnyCodable(value), try decode(AnyCodable.self, json))
            XCTAssertEqual(AnyCodable(value).hashValue, try decode(AnyCodable.self, json).hashValue)
        }
        XCTAssertThrowsError(try text(AnyCodable(Date())))
        XCTAssertNotEqual(AnyCodable(Date()), AnyCodable(Date()))
        XCTAssertNotEqual(AnyCodable(true), AnyCodable(1))
    }

    func testLooseMembersShowNoSecret() throws {
        let hello = "{\"client\":{},\"maxProtocol\":3,\"minProtocol\":3,\"auth\":{\"token\":\"hunter2\"}}"
        let params = try decode(ConnectParams.self, hello)
        var shown = "\(params)" + String(reflecting: params)
        dump(params, to: &shown)
        XCTAssertFalse(shown.contains("hunter2"), shown)
        XCTAssertEqual(params.auth?["token"]?.value as? String, "hunter2")
    }

    func testFramesAreToldApart() throws {
        let request = "{\"id\":\"1\",\"method\":\"health\",\"type\":\"req\"}"
        guard case .req(let frame) = try decode(GatewayFrame.self, request) else {
            return XCTFail("no request")
        }
        XCTAssertEqual(frame.method, "health")
        XCTAssertEqual(try text(GatewayFrame.req(frame)), request)

        let response = "{\"id\":\"1\",\"ok\":false,\"type\":\"res\",\"error\":{\"code\":\"UNAVAILABLE\",\"message\":\"m\"}}"
        guard case .res(let answer) = try decode(GatewayFrame.self, response) else {
            return XCTFail("no response")
        }
        XCTAssertEqual(answer.error?["code"]?.value as? String, ErrorCode.unavailable.rawValue)

        guard case .event(let event) = try decode(
            GatewayFrame.self, "{\"type\":\"event\",\"event\":\"tick\",\"seq\":4,\"stateVersion\":{\"presence\":1,\"health\":2}}")
        else { return XCTFail("no event") }
        XCTAssertEqual(event.seq, 4)
        XCTAssertEqual(event.stateversion?["health"]?.value as? Int, 2)

        let other = "{\"type\":\"later\",\"x\":[1]}"
        guard case .unknown(let type, let raw) = try decode(GatewayFrame.self, other) else {
            return XCTFail("no unknown")
        }
        XCTAssertEqual(type, "later")
        XCTAssertEqual(raw["x"], AnyCodable([1]))
        XCTAssertEqual(try text(GatewayFrame.unknown(type: type, raw: raw)), other)
        XCTAssertThrowsError(try decode(GatewayFrame.self, "{}"))
    }

    /// Initialisers as apps call them: every argument given, in this order, those of younger members left out.
    func testInitialisersKeepTheirShape() throws {
        let connect = ConnectParams(
            minprotocol: GATEWAY_PROTOCOL_VERSION,
            maxprotocol: GATEWAY_PROTOCOL_VERSION,
            client: ["id": AnyCodable("openclaw-ios"), "mode": AnyCodable("ui")],
            caps: [],
            commands: nil,
            permissions: ["camera": AnyCodable(true)],
            role: "node",
            scopes: nil,
            device: nil,
            auth: ["token": AnyCodable("t")],
            locale: "en",
            useragent: nil)
        XCTAssertEqual(
            try text(connect),
            "{\"auth\":{\"token\":\"t\"},\"caps\":[],\"client\":{\"id\":\"openclaw-ios\",\"mode\":\"ui\"},"
                + "\"locale\":\"en\",\"maxProtocol\":3,\"minProtocol\":3,\"permissions\":{\"camera\":true},\"role\":\"node\"}")
        let event = ChatEvent(
            runid: "r", sessionkey: "main", seq: 1, state: AnyCodable("delta"),
            message: AnyCodable(["role": "assistant"]), errormessage: nil, usage: nil, stopreason: nil)
        XCTAssertEqual(event.state.value as? String, "delta")
        let shutdown = ShutdownEvent(reason: "gateway stopping", restartexpectedms: nil)
        XCTAssertEqual(try text(shutdown), "{\"reason\":\"gateway stopping\"}")
    }

    func testHelloReadsAsBefore() throws {
        let hello = try decode(
            HelloOk.self,
            """
            {"type":"hello-ok","protocol":3,"server":{"version":"1","connId":"c"},
             "features":{"methods":["health"],"events":[]},
             "snapshot":{"presence":[{"ts":5,"deviceFamily":"iPhone"}],"health":{},
                         "stateVersion":{"presence":1,"health":2},"uptimeMs":7,"sessionDefaults":{"mainKey":"main"}},
             "canvasHostUrl":"http://x","policy":{"tickIntervalMs":30000},"later":true}
            """)
        XCTAssertEqual(hello._protocol, 3)
        XCTAssertEqual(hello.canvashosturl, "http://x")
        XCTAssertEqual(hello.snapshot.presence.first?.devicefamily, "iPhone")
        XCTAssertEqual(hello.snapshot.stateversion.health, 2)
        XCTAssertEqual(hello.snapshot.sessiondefaults?["mainKey"]?.value as? String, "main")
        XCTAssertEqual(hello.policy["tickIntervalMs"]?.value as? Int, 30000)
        XCTAssertNotNil(hello.snapshot.health.value as? [String: AnyCodable])
    }
}

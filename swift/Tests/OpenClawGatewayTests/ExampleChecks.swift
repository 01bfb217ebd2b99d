import Foundation
import XCTest

import OpenClawGateway

/// Collects what goes wrong with the schema's examples. The examples themselves are generated.
struct ExampleChecks {
    private(set) var checked = 0
    private(set) var problems: [String] = []

    /// Decodes and encodes a JSON text and compares the result with what the type keeps of it.
    mutating func roundTrip<Value: Codable>(
        _ type: Value.Type, _ name: String, _ text: String, _ expected: String
    ) {
        checked += 1
        do {
            let value = try JSONDecoder().decode(type, from: Data(text.utf8))
            let encoded = try JSONEncoder().encode(value)
            let (actual, wanted) = (try canonical(encoded), try canonical(Data(expected.utf8)))
            if actual != wanted {
                problems.append("\(name): \(text)\n  gives    \(actual)\n  expected \(wanted)")
            }
        } catch {
            problems.append("\(name): \(text)\n  \(error)")
        }
    }

    /// The same for an event frame, whose payload must not fall into the case for unknown events.
    mutating func event(_ name: String, _ text: String, _ expected: String) {
        roundTrip(GatewayEvent.self, "event \(name)", text, expected)
        let event = try? JSONDecoder().decode(GatewayEvent.self, from: Data(text.utf8))
        if case .unknown? = event?.payload {
            problems.append("event \(name) is not known")
        }
    }

    /// Members sorted, numbers in one spelling.
    private func canonical(_ data: Data) throws -> String {
        let value = try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed)
        let sorted = try JSONSerialization.data(
            withJSONObject: value, options: [.sortedKeys, .fragmentsAllowed])
        return String(decoding: sorted, as: UTF8.self)
    }
}

final class ExampleTests: XCTestCase {
    func testEveryExampleRoundTrips() {
        var checks = ExampleChecks()
        checks.all()
        XCTAssertEqual(checks.checked, ExampleChecks.count)
        XCTAssertGreaterThan(checks.checked, 0)
        XCTAssertEqual(checks.problems, [], checks.problems.joined(separator: "\n"))
    }
}

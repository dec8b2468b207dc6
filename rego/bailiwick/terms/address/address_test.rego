package bailiwick.tests.address

import data.bailiwick.terms.address
import data.bailiwick.terms.bound
import data.bailiwick.testing

default within(_, _) := false

within(networks, value) if {
	bound.all_kept({"x": {"cidr": networks}}) with input as testing.tool_call("ship", {"x": value})
}

test_success_within_a_network if {
	within("10.0.0.0/8", "10.1.2.3")
	within("10.1.2.3/32", "10.1.2.3")
	within("2001:db8::/32", "2001:db8::1")
	within(["192.0.2.0/24", "2001:db8::/32"], "192.0.2.255")
	within(["192.0.2.0/24", "2001:db8::/32"], "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
	within("::/0", "::")
	within("0.0.0.0/0", "0.0.0.0")
}

test_fail_outside if {
	not within("10.0.0.0/8", "11.0.0.0")
	not within("2001:db8::/32", "2001:db9::1")
	not within(["192.0.2.0/24", "198.51.100.0/24"], "203.0.113.1")
}

test_fail_other_family if {
	not within("0.0.0.0/0", "::1")
	not within("::/0", "127.0.0.1")
}

test_success_plain if {
	every value in [
		"0.0.0.0", "255.255.255.255", "1.20.199.249",
		"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6::", "::3:4:5:6:7:8", "1:0:3:4:5:6:7:8", "1::4:0:0:7:8",
		"2001:db8:0:1:1:1:1:1", "0:0:0:1::", "::1:0:0:0", "fe80::abcd", "0:1:2:3:4:5:6:7", "1:2:3:4:5:6:7:0",
	] {
		address.plain(value)
	}
}

test_fail_not_the_one_text_of_an_address if {
	every value in [
		"", ".", "1", "1.2.3", "1.2.3.", "1.2.3.4.", ".1.2.3.4", "1.2.3.4.5", "01.2.3.4", "1.2.3.04", "256.1.1.1", "1.2.3.4 ",
		"1.2.3.4\n", "1.2.3.4/32", "0x1.2.3.4", "1..2.3", "+1.2.3.4", "1.2.3.-4", "１.2.3.4",
		":", ":::", "::1::", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
		":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "12345::", "g::", "01::", "::0001", "ABCD::", "::A", "fe80::1%eth0", "[::1]", "::1/64",
		"0:0:0:0:0:0:0:1", "1:0:0:4:5:6:7:8", "1::4:0:0:0:8", "0::1", "1::0", "1:0::", "::0:1", "1:0:0:0::1", "::1.2.3.4",
		"::ffff:1.2.3.4", "::ffff:102:304", "0:0:0:0:0:ffff:102:304", "1:0:0::5:6:7", "1:0:0:0:5::",
	] {
		not address.plain(value)
	}
}

test_fail_of_another_kind if {
	every value in [null, true, 1, 16909060, [], ["1.2.3.4"], {}, {"1.2.3.4": 1}] {
		not address.plain(value)
	}
}

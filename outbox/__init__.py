"""A transactional outbox and inbox on PostgreSQL. See README.md for a complete small example."""

from outbox.anti_entropy import AntiEntropy, ConsumerView, Pace, Report
from outbox.baseline import Baseline, ConsumerAlreadyBegun
from outbox.event import Event, EventKey
from outbox.inbox import Comparison, EffectHandler, GiveUp, Handler, Received, RetryPolicy, StreamProgress
from outbox.listening import listening
from outbox.log import Outbox
from outbox.operations import Consumer, Follower, Held, Operations
from outbox.ordered import OrderedInbox
from outbox.publisher import Publisher, PublishFailed
from outbox.relay import Relay
from outbox.selection import Selection
from outbox.unordered import UnorderedInbox
from outbox.views import InboxView
from outbox.waker import Waker

__all__ = [
    "AntiEntropy",
    "Baseline",
    "Comparison",
    "Consumer",
    "ConsumerAlreadyBegun",
    "ConsumerView",
    "EffectHandler",
    "Event",
    "EventKey",
    "Follower",
    "GiveUp",
    "Handler",
    "Held",
    "InboxView",
    "Operations",
    "OrderedInbox",
    "Outbox",
    "Pace",
    "PublishFailed",
    "Publisher",
    "Received",
    "Relay",
    "Report",
    "RetryPolicy",
    "Selection",
    "StreamProgress",
    "UnorderedInbox",
    "Waker",
    "listening",
]

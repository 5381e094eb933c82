// Catch2's assertions may be made by any thread, but never by two at the same time: then it aborts, rarely and
// without naming the place. Each test program holds this listener, so that the thread sanitizer reports every pair of
// assertions that nothing orders, whether or not they met in this run.
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>

namespace
{

class assertion_race_listener : public Catch::EventListenerBase
{
public:
    using EventListenerBase::EventListenerBase;

    void assertionStarting(const Catch::AssertionInfo& /*info*/) override
    {
        // Plain on purpose: an atomic one would order what it is to find unordered.
        ++assertions_;
    }

private:
    unsigned long assertions_ = 0;
};

CATCH_REGISTER_LISTENER(assertion_race_listener)

} // namespace

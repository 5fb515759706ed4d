// What an open page does beside htmx: it asks for itself again only as far as it changed (ETag), does not change under the hands of who reads it,
// keeps the focus and what was unfolded, says when it is not live, and tells the hub the browser's time zone. Without it the page stays as it is.
(function () {
  'use strict'
  var live = document.getElementById('live')
  var notice = document.getElementById('not-live')
  var tag = null
  var late = false
  var focused = null
  var unfolded = {}

  function isOurs(event) {
    return event.detail.elt === live
  }

  function refresh() {
    htmx.trigger(live, 'refresh')
  }

  // Somebody is typing, choosing, or marking text to copy it.
  function isInUse() {
    var at = document.activeElement
    var marked = document.getSelection()
    return (at && live.contains(at) && /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName)) ||
      (marked && !marked.isCollapsed && live.contains(marked.anchorNode))
  }

  function whenFree() {
    if (late && !isInUse()) {
      late = false
      setTimeout(refresh, 300)
    }
  }

  function say(isLive) {
    notice.hidden = isLive
  }

  document.addEventListener('focusout', function () { setTimeout(whenFree, 0) })
  document.addEventListener('selectionchange', whenFree)

  document.addEventListener('htmx:beforeRequest', function (event) {
    if (isOurs(event) && isInUse()) {
      late = true
      event.preventDefault()
    }
  })
  document.addEventListener('htmx:configRequest', function (event) {
    if (isOurs(event) && tag) {
      event.detail.headers['If-None-Match'] = tag
    }
  })
  document.addEventListener('htmx:beforeSwap', function (event) {
    var answer = event.detail.xhr
    if (answer.status !== 200) {
      return
    }
    if (answer.responseText.indexOf('id="live"') < 0) {
      // The session is over: another page answered.
      event.detail.shouldSwap = false
      window.location.reload()
      return
    }
    tag = answer.getResponseHeader('ETag')
    var at = document.activeElement
    focused = at && live.contains(at) && !at.id ? at.getAttribute('href') : null
    live.querySelectorAll('details[id]').forEach(function (part) { unfolded[part.id] = part.open })
  })
  document.addEventListener('htmx:afterSwap', function () {
    live.querySelectorAll('details[id]').forEach(function (part) {
      if (part.id in unfolded) {
        part.open = unfolded[part.id]
      }
    })
    var same = focused && live.querySelector('a[href="' + CSS.escape(focused) + '"]')
    if (same) {
      same.focus({ preventScroll: true })
    }
  })
  document.addEventListener('htmx:sseOpen', function () { say(true) })
  document.addEventListener('htmx:sseError', function () { say(false) })

  // The zone in which the hub writes this browser's times, unless a person chose another one.
  var zone = Intl.DateTimeFormat().resolvedOptions().timeZone
  if (zone && document.documentElement.getAttribute('data-browser-zone') !== zone) {
    document.cookie = 'olog-zone=' + zone + '; Path=/; Max-Age=31536000; SameSite=Lax'
    document.documentElement.setAttribute('data-browser-zone', zone)
    document.addEventListener('DOMContentLoaded', function () { setTimeout(refresh, 0) })
  }
})()

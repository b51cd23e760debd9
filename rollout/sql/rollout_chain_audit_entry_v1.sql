-- Trigger: give a new audit entry its hash.
CREATE OR REPLACE FUNCTION public.rollout_chain_audit_entry() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    NEW.hash := public.rollout_audit_hash(
        NEW, COALESCE((SELECT e.hash FROM public.rollout_audit_entry AS e ORDER BY e.id DESC LIMIT 1), ''));
    RETURN NEW;
END
$$;
